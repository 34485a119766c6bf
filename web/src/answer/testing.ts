// Citations and answers for tests: complete objects of which a test names only what it is about.
import type { Answer, Citation, VerificationStatus } from "../api/types";

export function citation(number: number, start: number, end: number, status: VerificationStatus = "exact"): Citation {
  return {
    id: `cit_${number}`,
    number,
    answer_span: { start, end },
    source: {
      document_id: "doc_1",
      file_id: "file_1",
      path: "report.pdf",
      title: "report.pdf",
      start_char: 100,
      end_char: 140,
      offset_unit: "code_point",
      page_start: 37,
      page_end: 37,
      page_label: "35",
      line: 12,
      boxes: [],
    },
    quote: `quote ${number}`,
    context: { before: "", after: "" },
    verification: { status, method: "text_compare", score: 1 },
    evidence: [{ kind: "text_match", score: 1 }],
  };
}

export function answer(fields: Partial<Answer> = {}): Answer {
  return {
    object: "answer",
    id: "ans_1",
    corpus_id: "corp_1",
    corpus_version: 1,
    conversation_id: null,
    status: "completed",
    question: "How much?",
    mode: "auto",
    grounding: "supported",
    text: "",
    citations: [],
    unsupported_spans: [],
    related: [],
    attention_map: null,
    usage: null,
    stop_reason: "end",
    error: null,
    source_removed: false,
    created_at: "2026-11-25T10:00:00Z",
    ...fields,
  };
}
