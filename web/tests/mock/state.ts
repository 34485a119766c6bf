// What the mock server holds: corpora, documents with their texts, jobs, answers with their events, conversations.
import type { Answer, Conversation, Corpus, CorpusDocument, DocumentState, Job } from "../../src/api/types.ts";
import { letter, plainText, printedReport, table, type MockText } from "./texts.ts";

export interface StoredEvent {
  id: number;
  event: string;
  data: unknown;
}

export interface StoredAnswer {
  answer: Answer;
  events: StoredEvent[];
  listeners: Set<(event: StoredEvent) => void>;
  cancelled: boolean;
  /** Cut every connection after this many events, once: to test reconnecting. */
  dropAfter: number | null;
}

export interface MockState {
  corpora: Map<string, Corpus>;
  documents: Map<string, { document: CorpusDocument; text: MockText; content: Buffer }>;
  jobs: Map<string, Job>;
  answers: Map<string, StoredAnswer>;
  conversations: Map<string, Conversation>;
  timers: Set<ReturnType<typeof setInterval>>;
  /** Requests seen, for tests that ask what the page sent. */
  requests: { method: string; path: string; body?: unknown }[];
}

let lastId = 0;
export function newId(prefix: string): string {
  lastId += 1;
  return `${prefix}_01KAMOCK${String(lastId).padStart(18, "0")}`;
}

export const now = () => new Date().toISOString();

export function newCorpus(state: MockState, name: string, metadata: Record<string, unknown> = {}): Corpus {
  const corpus: Corpus = {
    object: "corpus",
    id: newId("corp"),
    name,
    state: "empty",
    version: 1,
    model: { id: "smollm2-135m", fingerprint: "blake3:9f", kv_dtype: "int8" },
    counts: { documents: 0, ready: 0, failed: 0, pages: 0, characters: 0, tokens: 0 },
    storage: { source_bytes: 0, text_bytes: 0, kv_bytes: 0 },
    prefill: null,
    metadata,
    last_asked_at: null,
    created_at: now(),
    updated_at: now(),
  };
  state.corpora.set(corpus.id, corpus);
  return corpus;
}

export function mediaTypeOf(path: string): string {
  const ending = path.split(".").pop() ?? "";
  const types: Record<string, string> = { pdf: "application/pdf", md: "text/markdown", csv: "text/csv", html: "text/html" };
  return types[ending] ?? "text/plain";
}

export function textOf(path: string, content: string): MockText {
  if (path.endsWith(".pdf")) return printedReport();
  if (path.endsWith(".md")) return letter();
  if (path.endsWith(".csv")) return table();
  return plainText(content);
}

export function newDocument(
  state: MockState,
  corpusId: string,
  path: string,
  documentState: DocumentState,
  content = "",
): CorpusDocument {
  const text = textOf(path, content);
  const characters = Array.from(text.text).length;
  const readable = documentState === "ready" || documentState === "queued";
  const document: CorpusDocument = {
    object: "document",
    id: newId("doc"),
    corpus_id: corpusId,
    file_id: newId("file"),
    path,
    title: path,
    media_type: mediaTypeOf(path),
    sha256: "0".repeat(64),
    bytes: Math.max(1, content.length),
    state: documentState,
    version: 1,
    pages: text.pages?.length ?? 0,
    characters: readable ? characters : 0,
    tokens: readable ? Math.ceil(characters / 4.1) : 0,
    text_blake3: null,
    warnings: [],
    error: null,
    created_at: now(),
  };
  state.documents.set(document.id, { document, text, content: Buffer.from(content || text.text) });
  return document;
}

export function documentsOf(state: MockState, corpusId: string): CorpusDocument[] {
  return [...state.documents.values()].map(({ document }) => document).filter((document) => document.corpus_id === corpusId);
}

/** Counts and state of a corpus follow from its documents and its unfinished job. */
export function refreshCorpus(state: MockState, corpus: Corpus): Corpus {
  const documents = documentsOf(state, corpus.id);
  const sum = (of: (document: CorpusDocument) => number) => documents.reduce((total, document) => total + of(document), 0);
  const ready = documents.filter((document) => document.state === "ready");
  const failed = documents.filter(({ state: s }) => ["failed", "needs_ocr", "needs_password"].includes(s));
  corpus.counts = {
    documents: documents.length,
    ready: ready.length,
    failed: failed.length,
    pages: sum((document) => document.pages),
    characters: sum((document) => document.characters),
    tokens: sum((document) => document.tokens),
  };
  corpus.storage = {
    source_bytes: sum((document) => document.bytes),
    text_bytes: corpus.counts.characters,
    kv_bytes: ready.reduce((total, document) => total + document.tokens * 11_776, 0),
  };
  const job = [...state.jobs.values()].find(
    (other) => other.corpus_id === corpus.id && (other.state === "running" || other.state === "queued"),
  );
  const progress = job?.progress;
  corpus.prefill = job && progress
    ? {
        job_id: job.id,
        state: job.state,
        stage: progress.stage,
        unit: progress.unit,
        done: progress.done,
        total: progress.total,
        rate: progress.rate,
        eta_s: progress.eta_s,
        heartbeat_at: job.heartbeat_at,
      }
    : null;
  if (job) corpus.state = progress?.stage !== "prefill" ? "extracting" : "prefilling";
  else if (documents.length === 0) corpus.state = "empty";
  else corpus.state = ready.length === 0 ? "failed" : "ready";
  return corpus;
}

/** A corpus in which every document state and warning can be seen. */
function harbour(state: MockState): void {
  const corpus = newCorpus(state, "Harbour Authority reports");
  newDocument(state, corpus.id, "reports/annual-report-2025.pdf", "ready");
  newDocument(state, corpus.id, "letter-to-shareholders.md", "ready");
  newDocument(state, corpus.id, "vessels.csv", "ready");
  const odd = newDocument(state, corpus.id, "invoice\u202Efdp.exe.txt", "ready", "The invoice was paid on 3 March.");
  odd.warnings = [
    { code: "sniffed_type", page: null, characters: null, detail: "plain text, not an executable" },
    { code: "hidden_text", page: 3, characters: 212, detail: "" },
  ];
  newDocument(state, corpus.id, "scan-of-the-charter.pdf", "needs_ocr").warnings = [
    { code: "no_text_layer", page: 1, characters: null, detail: "" },
  ];
  newDocument(state, corpus.id, "minutes-locked.pdf", "needs_password");
  newDocument(state, corpus.id, "<img src=x onerror=alert(1)>.txt", "failed").error = {
    code: "parser_limit",
    message: "The file nests deeper than 100 levels.",
  };
  corpus.last_asked_at = new Date(Date.now() - 3 * 3600_000).toISOString();
  refreshCorpus(state, corpus);
}

export function newState(empty: boolean): MockState {
  const state: MockState = {
    corpora: new Map(),
    documents: new Map(),
    jobs: new Map(),
    answers: new Map(),
    conversations: new Map(),
    timers: new Set(),
    requests: [],
  };
  if (!empty) harbour(state);
  return state;
}
