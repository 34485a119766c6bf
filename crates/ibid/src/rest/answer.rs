//! The answer object: fresh from the engine, or as the catalog keeps it.

use super::{Reason, described, time};
use answer::{AnswerSpan, AttentionMap, Grounding, Related, Usage};
use catalog::AnswerStatus;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::ToSchema;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Answer {
    /// `answer`
    pub object: &'static str,
    pub id: String,
    pub corpus_id: String,
    /// 0 until it runs.
    pub corpus_version: u64,
    #[schema(required)]
    pub conversation_id: Option<String>,
    #[schema(schema_with = described::answer_status)]
    pub status: AnswerStatus,
    pub question: String,
    #[schema(schema_with = described::answer_mode)]
    pub mode: String,
    /// Null until it is complete.
    #[schema(required)]
    pub grounding: Option<Grounding>,
    pub text: String,
    pub citations: Vec<Citation>,
    /// Spans of the text that nothing in the documents supports.
    pub unsupported_spans: Vec<AnswerSpan>,
    /// Where to look further when the answer is not in the documents; no evidence. Told once, not kept.
    pub related: Vec<Related>,
    #[schema(required)]
    pub attention_map: Option<AttentionMap>,
    #[schema(required)]
    pub usage: Option<Usage>,
    #[schema(required)]
    pub stop_reason: Option<String>,
    #[schema(required)]
    pub error: Option<Reason>,
    /// A document it was composed from was removed, and what it took from there with it.
    pub source_removed: bool,
    #[schema(required)]
    pub created_at: Option<String>,
}

/// A citation, or what is left of it once its document was removed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = KeptCitation)]
#[serde(untagged)]
pub enum Citation {
    Whole(Box<answer::Citation>),
    Removed(RemovedCitation),
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RemovedCitation {
    pub id: String,
    pub number: u64,
    pub answer_span: AnswerSpan,
    /// `true`
    pub source_removed: bool,
}

pub fn answer(answer: &answer::Answer) -> Answer {
    Answer {
        object: "answer",
        id: answer.id.clone(),
        corpus_id: answer.corpus_id.clone(),
        corpus_version: answer.corpus_version,
        conversation_id: answer.conversation_id.clone(),
        status: AnswerStatus::Completed,
        question: answer.question.clone(),
        mode: answer.mode.clone(),
        grounding: Some(answer.grounding),
        text: answer.text.clone(),
        citations: answer.citations.iter().map(|c| Citation::Whole(Box::new(c.clone()))).collect(),
        unsupported_spans: answer.unsupported_spans.clone(),
        related: answer.related.clone(),
        attention_map: Some(answer.attention_map.clone()),
        usage: Some(answer.usage.clone()),
        stop_reason: Some(answer.stop_reason.clone()),
        error: None,
        source_removed: false,
        created_at: time(answer.created_ms),
    }
}

/// As it is stored; what a removed document took with it is not there any more.
pub fn stored_answer(stored: &catalog::Answer) -> Answer {
    Answer {
        object: "answer",
        id: stored.id.to_string(),
        corpus_id: stored.corpus.to_string(),
        corpus_version: stored.corpus_version,
        conversation_id: stored.conversation.as_ref().map(ToString::to_string),
        status: stored.status,
        question: stored.question.clone(),
        mode: stored.mode.clone(),
        grounding: stored.grounding.as_ref().and_then(|word| read(&Value::String(word.clone()))),
        text: stored.text.clone(),
        citations: stored.citations.iter().map(citation).collect(),
        unsupported_spans: read(&stored.detail["unsupported_spans"]).unwrap_or_default(),
        related: Vec::new(),
        attention_map: read(&stored.detail["attention_map"]),
        usage: read(&stored.usage),
        stop_reason: read(&stored.detail["stop_reason"]),
        error: Reason::of(stored.error.as_ref()),
        source_removed: stored.source_removed,
        created_at: time(stored.created_ms),
    }
}

fn citation(stored: &catalog::Citation) -> Citation {
    match read::<answer::Citation>(&stored.detail).filter(|_| !stored.source_removed) {
        Some(whole) => Citation::Whole(Box::new(whole)),
        None => Citation::Removed(RemovedCitation {
            id: format!("cit_{}", stored.number),
            number: stored.number,
            answer_span: AnswerSpan { start: stored.answer.start, end: stored.answer.end },
            source_removed: true,
        }),
    }
}

/// `None` for what an older program did not keep.
fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}
