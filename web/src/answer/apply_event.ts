// One server-sent event applied to an answer: the same events give the same answer, live or replayed after a reload.
import type { Answer, Citation, Problem, Verification } from "../api/types";
import type { StreamEvent } from "../api/event_stream";

export interface LiveAnswer {
  answer: Answer;
  /** Stored state being opened, before the first token. */
  loading: { done: number; total: number } | null;
  lastEventId: string | null;
  finished: boolean;
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
    attention_map: null,
    usage: null,
    stop_reason: null,
    error: null,
    created_at: new Date().toISOString(),
  };
}

export function liveAnswer(answer: Answer): LiveAnswer {
  return { answer, loading: null, lastEventId: null, finished: false };
}

function withCitation(citations: Citation[], added: Citation): Citation[] {
  return [...citations.filter(({ id }) => id !== added.id), added];
}

function withVerification(citations: Citation[], id: string, verification: Verification): Citation[] {
  return citations.map((citation) =>
    citation.id === id ? { ...citation, verification: { ...citation.verification, ...verification } } : citation,
  );
}

/** Unknown events change nothing but the last id; a line that is not JSON is an error of the stream and throws. */
export function applyEvent(live: LiveAnswer, { id, event, data }: StreamEvent): LiveAnswer {
  const { answer } = live;
  const next: LiveAnswer = { ...live, lastEventId: id ?? live.lastEventId };
  const body = JSON.parse(data) as Record<string, unknown>;
  switch (event) {
    case "answer.created":
      next.answer = {
        ...answer,
        id: String(body.answer_id),
        corpus_version: Number(body.corpus_version),
        status: "running",
      };
      break;
    case "corpus.loading":
      next.loading = { done: Number(body.kv_bytes_done), total: Number(body.kv_bytes_total) };
      break;
    case "text.delta":
      next.answer = { ...answer, status: "running", text: answer.text + String(body.text) };
      next.loading = null;
      break;
    case "citation.added":
      next.answer = { ...answer, citations: withCitation(answer.citations, body.citation as Citation) };
      break;
    case "citation.verified":
      next.answer = {
        ...answer,
        citations: withVerification(answer.citations, String(body.id), body.verification as Verification),
      };
      break;
    case "answer.completed":
      // The whole answer is the truth; what was put together from the pieces gives way to it.
      next.answer = body as unknown as Answer;
      next.loading = null;
      next.finished = true;
      break;
    case "error":
      next.answer = { ...answer, status: "failed", error: body as unknown as Problem };
      next.loading = null;
      next.finished = true;
      break;
  }
  return next;
}
