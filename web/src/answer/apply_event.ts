// One server-sent event applied to an answer: the same events give the same answer, live or replayed after a reload.
import type { Answer, AnswerEvents, Citation, KeptCitation, Problem, Verification } from "../api/types";
import type { StreamEvent } from "../api/event_stream";

export interface LiveAnswer {
  answer: Answer;
  /** Stored state being opened, before the first token. */
  loading: { done: number; total: number } | null;
  lastEventId: string | null;
  finished: boolean;
  /** Why it broke off, as the stream said it. */
  problem: Problem | null;
}

export function emptyAnswer(corpusId: string, question: string, conversationId: string | null): Answer {
  return {
    object: "answer",
    id: "",
    corpus_id: corpusId,
    corpus_version: 0,
    conversation_id: conversationId,
    status: "queued",
    question,
    mode: "auto",
    grounding: null,
    text: "",
    citations: [],
    unsupported_spans: [],
    related: [],
    attention_map: null,
    usage: null,
    stop_reason: null,
    error: null,
    source_removed: false,
    created_at: new Date().toISOString(),
  };
}

export function liveAnswer(answer: Answer): LiveAnswer {
  return { answer, loading: null, lastEventId: null, finished: false, problem: null };
}

function withCitation(citations: KeptCitation[], added: Citation): KeptCitation[] {
  return [...citations.filter(({ id }) => id !== added.id), added];
}

function withVerification(citations: KeptCitation[], id: string, verification: Verification): KeptCitation[] {
  return citations.map((citation) => (citation.id === id ? { ...citation, verification } : citation));
}

/** Unknown events change nothing but the last id; a line that is not JSON is an error of the stream and throws. */
export function applyEvent(live: LiveAnswer, { id, event, data }: StreamEvent): LiveAnswer {
  const { answer } = live;
  const next: LiveAnswer = { ...live, lastEventId: id ?? live.lastEventId };
  // Each event is read as what it is by its name.
  const read = <Name extends keyof AnswerEvents>(_name: Name) => JSON.parse(data) as AnswerEvents[Name];
  switch (event) {
    case "answer.created": {
      const { answer_id, corpus_version } = read(event);
      next.answer = { ...answer, id: answer_id, corpus_version, status: "running" };
      break;
    }
    case "corpus.loading": {
      const { kv_bytes_done, kv_bytes_total } = read(event);
      next.loading = { done: kv_bytes_done, total: kv_bytes_total };
      break;
    }
    case "text.delta":
      next.answer = { ...answer, status: "running", text: answer.text + read(event).text };
      next.loading = null;
      break;
    case "citation.added":
      next.answer = { ...answer, citations: withCitation(answer.citations, read(event).citation) };
      break;
    case "citation.verified": {
      const { id: citation, verification } = read(event);
      next.answer = { ...answer, citations: withVerification(answer.citations, citation, verification) };
      break;
    }
    case "answer.completed": {
      // The whole answer is the truth; what was put together from the pieces gives way to it. One that was stopped is told
      // without its text: the pieces are all there is.
      const whole = read(event);
      next.answer = whole.status === "completed" ? whole : { ...whole, text: whole.text || answer.text };
      next.loading = null;
      next.finished = true;
      break;
    }
    case "error":
      next.answer = { ...answer, status: "failed" };
      next.problem = read(event);
      next.loading = null;
      next.finished = true;
      break;
  }
  return next;
}
