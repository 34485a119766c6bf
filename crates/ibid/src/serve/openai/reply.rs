//! Answers as chat completions: citations are annotations of the message, and a field `ibid` of ours has the rest.

use super::objects::{
    Annotation, ChatAnswer, ChatChoice, ChatCompletion, ChatFinish, ChatReply, ChatUsage, FileCitation,
    PromptTokens, UrlCitation,
};
use crate::rest::{Answer, Citation};
use answer::Grounding;
use base::Id;
use serde_json::{Value, json};

/// What is said in place of an empty text.
const NOTHING: &str = "Not in these documents.";

pub struct Chat {
    id: String,
    model: String,
    /// Unix seconds.
    created: u64,
}

impl Chat {
    pub fn new(model: &str, answer: &Id) -> Self {
        let created = answer.unix_ms() / 1_000;
        Self { id: format!("chatcmpl-{answer}"), model: model.to_owned(), created }
    }

    pub fn whole(self, answer: &Answer) -> ChatCompletion {
        let message = ChatReply {
            role: "assistant",
            content: if answer.text.is_empty() { NOTHING.to_owned() } else { answer.text.clone() },
            refusal: None,
            annotations: annotations(answer),
        };
        ChatCompletion {
            id: self.id,
            object: "chat.completion",
            created: self.created,
            model: self.model,
            choices: vec![ChatChoice { index: 0, message, finish_reason: finish(answer), logprobs: None }],
            usage: usage(answer),
            ibid: ours(answer),
        }
    }

    pub fn opening(&self) -> Value {
        self.chunk(
            json!([{ "index": 0, "delta": { "role": "assistant", "content": "" }, "finish_reason": null }]),
        )
    }

    pub fn delta(&self, text: &str) -> Value {
        self.chunk(json!([{ "index": 0, "delta": { "content": text }, "finish_reason": null }]))
    }

    /// The last chunks: annotations and the reason for the end, then usage where it was asked for.
    pub fn closing(&self, answer: &Answer, wants_usage: bool) -> Vec<Value> {
        let mut delta = json!({ "annotations": annotations(answer) });
        if answer.text.is_empty() {
            delta["content"] = NOTHING.into();
        }
        let mut last = self.chunk(json!([{ "index": 0, "delta": delta, "finish_reason": finish(answer) }]));
        last["ibid"] = json!(ours(answer));
        let mut chunks = vec![last];
        if wants_usage {
            let mut chunk = self.chunk(json!([]));
            chunk["usage"] = json!(usage(answer));
            chunks.push(chunk);
        }
        chunks
    }

    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        })
    }
}

fn finish(answer: &Answer) -> ChatFinish {
    match answer.stop_reason.as_deref() {
        Some("max_output_tokens") => ChatFinish::Length,
        _ => ChatFinish::Stop,
    }
}

fn annotations(answer: &Answer) -> Vec<Annotation> {
    let whole = answer.citations.iter().filter_map(|citation| match citation {
        Citation::Whole(citation) => Some(citation),
        Citation::Removed(_) => None,
    });
    whole.map(|citation| annotation(citation)).collect()
}

fn annotation(citation: &answer::Citation) -> Annotation {
    let source = &citation.source;
    let (start, end) = (source.start_char, source.end_char);
    Annotation {
        kind: "url_citation",
        url_citation: UrlCitation {
            start_index: citation.answer_span.start,
            end_index: citation.answer_span.end,
            title: source.title.clone(),
            url: format!("/v1/documents/{}/text?start={start}&end={end}", source.document_id),
        },
        file_citation: FileCitation {
            file_id: source.file_id.clone(),
            filename: source.path.clone(),
            index: citation.answer_span.end,
            quote: citation.quote.clone(),
        },
    }
}

fn usage(answer: &Answer) -> ChatUsage {
    let usage = answer.usage.clone().unwrap_or_default();
    let prompt = usage.reused_corpus_tokens + usage.prefilled_corpus_tokens + usage.question_tokens;
    ChatUsage {
        prompt_tokens: prompt,
        completion_tokens: usage.output_tokens,
        total_tokens: prompt + usage.output_tokens,
        prompt_tokens_details: PromptTokens { cached_tokens: usage.reused_corpus_tokens },
    }
}

fn ours(answer: &Answer) -> ChatAnswer {
    ChatAnswer {
        answer_id: answer.id.clone(),
        corpus_version: answer.corpus_version,
        grounding: answer.grounding.unwrap_or(Grounding::NotInCorpus),
        citations: answer.citations.clone(),
        unsupported_spans: answer.unsupported_spans.clone(),
        usage: answer.usage.clone(),
    }
}
