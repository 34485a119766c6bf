//! The REST objects of an answer.

use crate::{attention::AttentionMap, verify::Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grounding {
    Supported,
    PartlySupported,
    NotInCorpus,
}

/// Half-open, code points of the answer's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerSpan {
    pub start: u64,
    pub end: u64,
}

/// A rectangle in fractions of the page, origin top left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PageBox {
    pub page: u32,
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceSpan {
    pub document_id: String,
    /// The original that the document's cited version was made from.
    pub file_id: String,
    pub path: String,
    pub title: String,
    pub start_char: u64,
    pub end_char: u64,
    pub offset_unit: String,
    /// From 1; absent where the format has no pages.
    #[schema(required)]
    pub page_start: Option<u32>,
    #[schema(required)]
    pub page_end: Option<u32>,
    #[schema(required)]
    pub page_label: Option<String>,
    /// Line of the canonical text, from 1.
    pub line: u64,
    pub boxes: Vec<PageBox>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Context {
    pub before: String,
    pub after: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    pub status: Status,
    pub method: String,
    pub score: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// Share of the attention mass on composed document tokens that lies on the quote.
    Attention { score: f64 },
    /// Share of the answer sentence's terms that the quote holds.
    TextMatch { score: f64 },
    /// Share of the question's weight that the quote covers.
    QuestionTerms { score: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    pub id: String,
    /// From 1, in the order of the answer.
    pub number: u64,
    pub answer_span: AnswerSpan,
    pub source: SourceSpan,
    pub quote: String,
    pub context: Context,
    pub verification: Verification,
    pub evidence: Vec<Evidence>,
}

/// A passage near a question that the documents do not answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Related {
    pub document_id: String,
    pub path: String,
    pub title: String,
    pub start_char: u64,
    pub end_char: u64,
    #[schema(required)]
    pub page: Option<u32>,
    pub text: String,
}

/// From counters in the forward pass and the KV store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub corpus_tokens: u64,
    /// Document tokens whose stored KV was composed.
    pub reused_corpus_tokens: u64,
    /// Document tokens computed for this answer: 0 unless a segment was damaged.
    pub prefilled_corpus_tokens: u64,
    pub kv_bytes_read: u64,
    pub question_tokens: u64,
    pub output_tokens: u64,
    pub ttft_ms: u64,
    pub output_tokens_per_s: f64,
}

/// An answer as it was just given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub id: String,
    pub corpus_id: String,
    pub corpus_version: u64,
    /// The conversation it belongs to.
    pub conversation_id: Option<String>,
    pub question: String,
    pub mode: String,
    pub grounding: Grounding,
    pub text: String,
    pub citations: Vec<Citation>,
    /// Spans of the text that nothing in the documents supports.
    pub unsupported_spans: Vec<AnswerSpan>,
    /// Where a person may look further when the answer is not in the documents; no evidence.
    pub related: Vec<Related>,
    pub attention_map: AttentionMap,
    pub usage: Usage,
    pub stop_reason: String,
    /// When it was stored, Unix milliseconds; `created_at` of the interface is made from it.
    #[serde(skip)]
    pub created_ms: u64,
}
