// Which tone (shape and colour) each state has.
import type { CorpusState, DocumentState } from "../api/types";
import type { Tone } from "../components/StateBadge.svelte";

export const CORPUS_TONES: Record<CorpusState, Tone> = {
  empty: "idle",
  ready: "good",
  extracting: "busy",
  prefilling: "busy",
  failed: "bad",
};

export const DOCUMENT_TONES: Record<DocumentState, Tone> = {
  queued: "idle",
  extracting: "busy",
  prefilling: "busy",
  ready: "good",
  needs_ocr: "warn",
  needs_password: "warn",
  failed: "bad",
  deleting: "idle",
};
