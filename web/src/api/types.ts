// The objects of the REST interface as the page uses them, written by hand from the contract and kept in one place so that
// types generated from the server's OpenAPI file can take over. Offsets count Unicode code points, never UTF-16 units.

export interface Problem {
  type?: string;
  title: string;
  status: number;
  code: string;
  detail?: string;
  request_id?: string;
  errors?: { pointer: string; code: string; detail: string }[];
  retry_after_s?: number;
}

export interface List<T> {
  object: "list";
  data: T[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
}

export interface Span {
  start: number;
  end: number;
}

export interface Session {
  object: "session";
  owner: string;
  /** True where the server asks for no key. */
  open: boolean;
  scopes: string[];
  corpora: string[] | null;
  expires_at: string | null;
}

export type CorpusState = "empty" | "ready" | "extracting" | "prefilling" | "failed";

export interface CorpusPrefill {
  job_id: string;
  stage: string;
  unit: string;
  done: number;
  total: number;
  rate: number | null;
  eta_s: number | null;
  heartbeat_at: string | null;
}

export interface Corpus {
  object: "corpus";
  id: string;
  name: string;
  state: CorpusState;
  version: number;
  model: { id: string; fingerprint: string; kv_dtype: string } | null;
  counts: { documents: number; ready: number; failed: number; pages: number; characters: number; tokens: number };
  storage: { source_bytes: number; text_bytes: number; kv_bytes: number };
  prefill: CorpusPrefill | null;
  metadata: Record<string, unknown>;
  last_asked_at: string | null;
  created_at: string;
  updated_at: string;
}

export type DocumentState =
  | "queued"
  | "extracting"
  | "prefilling"
  | "ready"
  | "needs_ocr"
  | "needs_password"
  | "failed"
  | "deleting";

export interface DocumentWarning {
  code: string;
  page: number | null;
  characters: number | null;
  detail: string | null;
}

/** Named CorpusDocument because `Document` is the DOM's. */
export interface CorpusDocument {
  object: "document";
  id: string;
  corpus_id: string;
  file_id: string;
  path: string;
  title: string;
  media_type: string;
  sha256: string;
  bytes: number;
  state: DocumentState;
  version: number;
  pages: number | null;
  characters: number;
  tokens: number;
  text_blake3: string | null;
  warnings: DocumentWarning[];
  error: { code: string; message: string } | null;
  created_at: string;
}

export interface Deleted {
  object: string;
  id: string;
  deleted: true;
  freed_bytes: number;
  freed_files: number;
}

export interface UploadResult {
  name: string;
  status: "accepted" | "unchanged" | "refused";
  document_id: string | null;
  bytes: number;
  sha256: string | null;
  deduplicated: boolean;
  error: { code: string; message: string } | null;
}

export interface Upload {
  object: "upload";
  corpus_id: string;
  job_id: string | null;
  results: UploadResult[];
}

export interface TextWindow {
  object: "text";
  document_id: string;
  offsets: "code_point";
  start: number;
  end: number;
  total: number;
  text: string;
}

export interface Page {
  page: number;
  label: string | null;
  width: number;
  height: number;
  start_char: number;
  end_char: number;
}

/** Fractions of the page, origin top left. */
export interface Box {
  page: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Source {
  document_id: string;
  file_id: string;
  path: string;
  title: string;
  start_char: number;
  end_char: number;
  offset_unit: "code_point";
  page_start: number | null;
  page_end: number | null;
  page_label: string | null;
  line: number | null;
  boxes: Box[];
}

export type VerificationStatus = "exact" | "normalised" | "not_found" | "pending";

export interface Verification {
  status: VerificationStatus;
  method?: string;
  score?: number;
}

export interface Citation {
  id: string;
  number: number;
  answer_span: Span;
  source: Source;
  quote: string;
  context: { before: string; after: string } | null;
  verification: Verification;
  evidence: { kind: "attention" | "text_match" | "question_terms"; score: number }[];
  source_removed?: boolean;
}

export interface RelatedPassage {
  document_id: string;
  path: string;
  title: string;
  start_char: number;
  end_char: number;
  page: number | null;
  text: string;
}

export interface AttentionMap {
  buckets: number;
  values_b64: string;
  composed_b64: string;
  documents: { id: string; token_start: number; token_end: number }[];
  tokens_total: number;
}

export interface Usage {
  corpus_tokens: number;
  reused_corpus_tokens: number;
  prefilled_corpus_tokens: number;
  kv_bytes_read: number;
  question_tokens: number;
  output_tokens: number;
  ttft_ms: number | null;
  output_tokens_per_s: number | null;
}

export type AnswerStatus = "queued" | "running" | "completed" | "failed" | "cancelled";
export type AnswerMode = "auto" | "quote" | "free";

export interface Answer {
  object: "answer";
  id: string;
  corpus_id: string;
  corpus_version: number;
  conversation_id: string | null;
  status: AnswerStatus;
  question: string;
  mode: AnswerMode;
  grounding: "supported" | "partly_supported" | "not_in_corpus" | null;
  text: string;
  citations: Citation[];
  unsupported_spans: Span[];
  related?: RelatedPassage[];
  attention_map: AttentionMap | null;
  usage: Usage | null;
  stop_reason: string | null;
  error: Problem | { code: string; message: string } | null;
  created_at: string;
}

export interface AnswerRequest {
  question: string;
  mode?: AnswerMode;
  documents?: string[];
  conversation_id?: string;
}

export interface Replay {
  object: "replay";
  identical: boolean;
  answer: Answer;
}

export interface Conversation {
  object: "conversation";
  id: string;
  corpus_id: string;
  title: string | null;
  answers?: Answer[];
  created_at: string;
  updated_at: string;
}

export type JobState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface Job {
  object: "job";
  id: string;
  kind: string;
  state: JobState;
  corpus_id: string | null;
  progress: {
    stage: string;
    done: number;
    total: number;
    unit: string;
    rate: number | null;
    eta_s: number | null;
    kv_bytes: number | null;
  } | null;
  error: { code: string; message: string } | null;
  created_at: string;
  heartbeat_at: string | null;
  finished_at: string | null;
}

export type ModelPreset = "smollm2-135m" | "llama-3.2-1b" | "llama-3.1-8b" | "llama-4-scout" | "open";
export type WeightType = "f32" | "bf16" | "q8_0" | "q4_1" | "q4_0" | "int4";
export type KvType = "f32" | "bf16" | "int8" | "int4";

export interface PlanRequest {
  tokens: number;
  model: { preset: ModelPreset };
  weights: WeightType;
  kv_dtype: KvType;
}

export interface Plan {
  object: "plan";
  tokens: number;
  weights: WeightType;
  kv_dtype: KvType;
  disk_bytes: { weights: number; kv: number; text: number };
  ram_bytes: { weights: number; cache: number; working: number };
  kv_bytes_per_token: number;
  prefill: { tokens_per_s: number; minutes: number; basis: "measured" | "estimated" };
  notes: string[];
}
