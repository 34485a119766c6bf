//! Answers as chat completions: citations are annotations of the message, and a field `ibid` of ours has the rest.

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
        let created = crate::serve::catalog_now() / 1_000;
        Self { id: format!("chatcmpl-{answer}"), model: model.to_owned(), created }
    }

    pub fn whole(&self, answer: &Answer) -> Value {
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{
                "index": 0, "logprobs": null, "finish_reason": finish(answer),
                "message": {
                    "role": "assistant", "content": content(answer), "refusal": null,
                    "annotations": annotations(answer),
                },
            }],
            "usage": usage(answer), "ibid": ours(answer),
        })
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
        last["ibid"] = ours(answer);
        let mut chunks = vec![last];
        if wants_usage {
            let mut chunk = self.chunk(json!([]));
            chunk["usage"] = usage(answer);
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

fn content(answer: &Answer) -> &str {
    if answer.text.is_empty() { NOTHING } else { &answer.text }
}

fn finish(answer: &Answer) -> &'static str {
    if answer.stop_reason.as_deref() == Some("max_output_tokens") { "length" } else { "stop" }
}

/// In the form that the vendor's clients know, and with the file that the quote is from.
fn annotations(answer: &Answer) -> Vec<Value> {
    let whole = answer.citations.iter().filter_map(|citation| match citation {
        Citation::Whole(citation) => Some(citation),
        Citation::Removed(_) => None,
    });
    let annotation = |citation: &answer::Citation| {
        let source = &citation.source;
        let (start, end) = (citation.answer_span.start, citation.answer_span.end);
        let url = format!(
            "/v1/documents/{}/text?start={}&end={}",
            source.document_id, source.start_char, source.end_char
        );
        json!({
            "type": "url_citation",
            "url_citation": { "start_index": start, "end_index": end, "title": source.title, "url": url },
            "file_citation": { "file_id": source.file_id, "filename": source.path, "index": end, "quote": citation.quote },
        })
    };
    whole.map(|citation| annotation(citation)).collect()
}

fn usage(answer: &Answer) -> Value {
    let (prompt, completion) = answer.usage.as_ref().map_or((0, 0), |usage| {
        (
            usage.reused_corpus_tokens + usage.prefilled_corpus_tokens + usage.question_tokens,
            usage.output_tokens,
        )
    });
    let cached = answer.usage.as_ref().map_or(0, |usage| usage.reused_corpus_tokens);
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}

fn ours(answer: &Answer) -> Value {
    json!({
        "answer_id": answer.id, "corpus_version": answer.corpus_version,
        "grounding": answer.grounding.unwrap_or(Grounding::NotInCorpus),
        "citations": answer.citations, "unsupported_spans": answer.unsupported_spans, "usage": answer.usage,
    })
}
