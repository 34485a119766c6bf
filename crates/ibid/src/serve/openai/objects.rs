//! The objects of OpenAI's chat interface, with what is ours beside them.

use crate::rest::Citation;
use answer::{AnswerSpan, Grounding, Usage};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct ChatCompletion {
    pub id: String,
    /// `chat.completion`
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    pub model: String,
    /// One.
    pub choices: Vec<ChatChoice>,
    pub usage: ChatUsage,
    pub ibid: ChatAnswer,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChatChoice {
    pub index: u32,
    pub message: ChatReply,
    pub finish_reason: ChatFinish,
    /// Always null.
    #[schema(required, value_type = Option<Object>)]
    pub logprobs: Option<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChatReply {
    /// `assistant`
    pub role: &'static str,
    pub content: String,
    /// Always null.
    #[schema(required)]
    pub refusal: Option<String>,
    pub annotations: Vec<Annotation>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatFinish {
    Stop,
    /// `max_completion_tokens` were given.
    Length,
}

/// A citation in the form that the vendor's clients know, and with the file that the quote is from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Annotation {
    /// `url_citation`
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub url_citation: UrlCitation,
    pub file_citation: FileCitation,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UrlCitation {
    /// Code points of the message.
    pub start_index: u64,
    pub end_index: u64,
    pub title: String,
    /// Path of the cited text at this service.
    pub url: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FileCitation {
    pub file_id: String,
    pub filename: String,
    /// Where in the message the citation stands, code points.
    pub index: u64,
    pub quote: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChatUsage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub prompt_tokens_details: PromptTokens,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PromptTokens {
    /// Document tokens whose stored KV was composed.
    pub cached_tokens: u64,
}

/// What the vendor's objects have no place for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatAnswer {
    pub answer_id: String,
    pub corpus_version: u64,
    pub grounding: Grounding,
    pub citations: Vec<Citation>,
    pub unsupported_spans: Vec<AnswerSpan>,
    #[schema(required)]
    pub usage: Option<Usage>,
}

/// An error in the vendor's shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatErrorObject {
    pub error: ChatErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChatErrorDetail {
    pub message: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The field at fault.
    #[schema(required)]
    pub param: Option<String>,
    pub code: String,
}
