// Pretended answers: words of the question choose what comes back. "weather" is not in the corpus, "fail" breaks off,
// "drop" cuts the connection once, "slow" takes its time; anything else is answered from the harbour's facts.
import type { Answer, AnswerRequest, AttentionMap, Citation, VerificationStatus } from "../../src/api/types.ts";
import { boxesOf } from "./page_image.ts";
import { documentsOf, newId, now, type MockState, type StoredAnswer } from "./state.ts";
import { FACTS } from "./texts.ts";

interface Piece {
  text: string;
  quote: string | null;
  status: VerificationStatus;
}

function piecesFor(question: string): Piece[] {
  const exact = (text: string, quote: string): Piece => ({ text, quote, status: "exact" });
  if (/lighthouse/i.test(question)) return [exact("Ada Thornbury electrified the lighthouse at Cape Vey in 1931.", FACTS.lighthouse)];
  if (/growth/i.test(question)) return [exact("𝒢 📈 was 0.12 for the whole harbour.", FACTS.growth)];
  if (/invoice/i.test(question)) return [exact("It was paid on 3 March.", "The invoice was paid on 3 March.")];
  return [
    exact("Revenue rose by 12 % to $4.1 billion 📈.", FACTS.revenue),
    { text: " Most of it came from containers at the western quay.", quote: FACTS.cranes, status: "normalised" },
    exact(" The authority employed 2,318 people.", FACTS.staff),
    { text: " This is expected to go on next year.", quote: null, status: "exact" },
    { text: " Nobody was injured.", quote: "Nobody was injured in the year.", status: "not_found" },
  ];
}

function findQuote(state: MockState, corpusId: string, quote: string) {
  for (const { id } of documentsOf(state, corpusId)) {
    const entry = state.documents.get(id)!;
    const flat = entry.text.text.replaceAll("\n", " ");
    const at = flat.indexOf(quote);
    if (at < 0 || entry.document.state !== "ready") continue;
    const start = Array.from(flat.slice(0, at)).length;
    return { ...entry, start, end: start + Array.from(quote).length };
  }
  return null;
}

function cite(state: MockState, corpusId: string, piece: Piece, number: number, from: number): Citation | null {
  const found = findQuote(state, corpusId, piece.quote!);
  const any = found ?? { ...[...state.documents.values()].find(({ document }) => document.corpus_id === corpusId)!, start: 0, end: 1 };
  if (!found && piece.status !== "not_found") return null;
  const { document, text, start, end } = any;
  const page = text.pages?.findIndex((other) => other.start <= start && start < other.end) ?? -1;
  const lead = piece.text.length - piece.text.trimStart().length;
  return {
    id: `cit_${number}`,
    number,
    answer_span: { start: from + lead, end: from + Array.from(piece.text).length },
    source: {
      document_id: document.id,
      file_id: document.file_id,
      path: document.path,
      title: document.title,
      start_char: start,
      end_char: end,
      offset_unit: "code_point",
      page_start: page >= 0 ? page + 1 : null,
      page_end: page >= 0 ? page + 1 : null,
      page_label: page >= 0 ? text.pages![page]!.label : null,
      line: Array.from(text.text).slice(0, start).filter((c) => c === "\n").length + 1,
      boxes: boxesOf(text, start, end),
    },
    quote: piece.quote!,
    context: { before: "", after: "" },
    verification: { status: piece.status, method: "text_compare", score: 1 },
    evidence: [
      { kind: "attention", score: 0.83 },
      { kind: "text_match", score: piece.status === "exact" ? 1 : 0.94 },
    ],
  };
}

/** Attention around the citations; documents out of reach are not composed at all. */
function attentionMap(state: MockState, corpusId: string, citations: Citation[]): AttentionMap {
  const documents = documentsOf(state, corpusId).filter(({ state: s }) => s === "ready");
  let tokens = 0;
  const ranges = documents.map(({ id, tokens: own }) => ({ id, token_start: tokens, token_end: (tokens += own) }));
  const values = new Float32Array(256);
  const composed = new Uint8Array(32);
  for (const { source } of citations) {
    const range = ranges.find(({ id }) => id === source.document_id);
    const document = documents.find(({ id }) => id === source.document_id);
    if (!range || !document) continue;
    const token = range.token_start + (source.start_char / document.characters) * document.tokens;
    const centre = Math.min(255, Math.floor((256 * token) / tokens));
    for (let offset = -9; offset <= 9; offset++) {
      const bucket = centre + offset;
      if (bucket < 0 || bucket > 255) continue;
      composed[bucket >> 3]! |= 1 << (bucket & 7);
      values[bucket]! += Math.abs(offset) > 6 ? 0 : Math.exp(-(offset * offset) / 4) * (0.6 + (source.start_char % 7) / 10);
    }
  }
  const sum = values.reduce((a, b) => a + b, 0) || 1;
  const view = new DataView(new ArrayBuffer(1024));
  values.forEach((value, i) => view.setFloat32(4 * i, value / sum, true));
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  return { buckets: 256, values_b64: base64(new Uint8Array(view.buffer)), composed_b64: base64(composed), documents: ranges, tokens_total: tokens };
}

function emit(stored: StoredAnswer, event: string, data: unknown): void {
  const entry = { id: stored.events.length, event, data };
  stored.events.push(entry);
  for (const listener of stored.listeners) listener(entry);
}

function usageOf(map: AttentionMap, output: number): Answer["usage"] {
  return {
    corpus_tokens: map.tokens_total,
    reused_corpus_tokens: 2048,
    prefilled_corpus_tokens: 0,
    kv_bytes_read: 24_117_248,
    question_tokens: 14,
    output_tokens: output,
    ttft_ms: 712,
    output_tokens_per_s: 31.2,
  };
}

export function startAnswer(state: MockState, corpusId: string, request: AnswerRequest, tokenMs: number): StoredAnswer {
  const answer: Answer = {
    object: "answer",
    id: newId("ans"),
    corpus_id: corpusId,
    corpus_version: state.corpora.get(corpusId)!.version,
    conversation_id: request.conversation_id ?? null,
    status: "running",
    question: request.question,
    mode: request.mode ?? "auto",
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
    created_at: now(),
  };
  const dropAfter = request.question.includes("drop") ? 8 : null;
  const stored: StoredAnswer = { answer, events: [], listeners: new Set(), cancelled: false, dropAfter };
  state.answers.set(answer.id, stored);
  state.corpora.get(corpusId)!.last_asked_at = now();
  void write(state, stored, request.question.includes("slow") ? tokenMs * 8 : tokenMs);
  return stored;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function write(state: MockState, stored: StoredAnswer, tokenMs: number): Promise<void> {
  const { answer } = stored;
  emit(stored, "answer.created", { answer_id: answer.id, corpus_version: answer.corpus_version });
  for (const part of [0.25, 0.5, 1]) {
    await wait(tokenMs * 2);
    emit(stored, "corpus.loading", { kv_bytes_done: 24_117_248 * part, kv_bytes_total: 24_117_248 });
  }
  if (/weather/i.test(answer.question)) return notInCorpus(state, stored);
  let number = 0;
  for (const piece of piecesFor(answer.question)) {
    const from = Array.from(answer.text).length;
    for (const word of piece.text.split(/(?<= )/)) {
      await wait(tokenMs);
      if (stored.cancelled) return complete(state, stored, "cancelled");
      answer.text += word;
      emit(stored, "text.delta", { text: word });
    }
    if (/fail/i.test(answer.question)) {
      answer.status = "failed";
      const detail = "A page of stored state did not match its checksum and is being rebuilt.";
      answer.error = { code: "engine_stopped", message: detail };
      return emit(stored, "error", { type: "about:blank", title: "engine stopped", status: 503, code: "engine_stopped", detail, request_id: "req_42" });
    }
    const span = { start: from, end: Array.from(answer.text).length };
    const citation = piece.quote === null ? null : cite(state, answer.corpus_id, piece, number + 1, from);
    if (!citation) answer.unsupported_spans.push(span);
    else {
      number += 1;
      answer.citations.push(citation);
      emit(stored, "citation.added", { citation });
      await wait(tokenMs);
      emit(stored, "citation.verified", { id: citation.id, verification: citation.verification });
      if (piece.status === "not_found") answer.unsupported_spans.push(span);
    }
  }
  answer.grounding = answer.unsupported_spans.length > 0 ? "partly_supported" : "supported";
  complete(state, stored, "completed");
}

function complete(state: MockState, stored: StoredAnswer, status: Answer["status"]): void {
  const { answer } = stored;
  answer.status = status;
  answer.stop_reason = status === "completed" ? "end" : "cancelled";
  answer.attention_map = attentionMap(state, answer.corpus_id, answer.citations.filter((citation) => "source" in citation));
  answer.usage = usageOf(answer.attention_map, answer.text.split(" ").length);
  emit(stored, "answer.completed", answer);
}

function notInCorpus(state: MockState, stored: StoredAnswer): void {
  const { answer } = stored;
  answer.grounding = "not_in_corpus";
  answer.text = "The documents do not say.";
  answer.related = [FACTS.lighthouse, FACTS.cranes].flatMap((text) => {
    const found = findQuote(state, answer.corpus_id, text);
    if (!found) return [];
    const { document, start, end } = found;
    const page = found.text.pages?.findIndex((other) => other.start <= start && start < other.end) ?? -1;
    return [{ document_id: document.id, path: document.path, title: document.title, start_char: start, end_char: end, page: page >= 0 ? page + 1 : null, text }];
  });
  emit(stored, "text.delta", { text: answer.text });
  complete(state, stored, "completed");
}
