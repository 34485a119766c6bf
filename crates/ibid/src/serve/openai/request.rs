//! What may stand in a chat request. Parameters that would change the answer and are not known here are refused by name:
//! ignoring them would give another answer than was asked for.

use super::ChatError;
use crate::{
    rest::whole_if_given,
    serve::answers::{AnswerMode, NewAnswer},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Beside these fields, those that leave an answer as it is are taken and passed over: `n` = 1, `frequency_penalty` and
/// `presence_penalty` = 0, `logprobs` and `parallel_tool_calls` = false, `response_format` = text, `user`, `metadata`,
/// `store`, `service_tier`, `safety_identifier`, `prompt_cache_key`, and null for any.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatRequest {
    /// `corpus:` and the id of a corpus.
    pub model: String,
    /// The last one is the user's question, the others its history.
    #[schema(min_items = 1)]
    pub messages: Vec<ChatMessage>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    #[schema(minimum = 0, maximum = 100)]
    pub temperature: Option<f64>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    #[serde(default, deserialize_with = "whole_if_given")]
    #[schema(format = "uint64", maximum = 18_446_744_073_709_551_615_u64)]
    pub seed: Option<u64>,
    #[serde(default, deserialize_with = "whole_if_given")]
    #[schema(minimum = 1)]
    pub max_tokens: Option<u64>,
    #[serde(default, deserialize_with = "whole_if_given")]
    #[schema(minimum = 1)]
    pub max_completion_tokens: Option<u64>,
    /// `auto`, `quote` or `free`: a field of ours.
    #[schema(inline)]
    pub mode: Option<AnswerMode>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
    #[schema(inline)]
    pub role: Role,
    #[schema(inline)]
    pub content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a message's content is text or a list of text parts")]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    Text { text: String },
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
}

/// Fields that are read.
const KNOWN: [&str; 10] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "mode",
];
/// Fields that change nothing of an answer: labels, and switches of the vendor's own storage.
const HARMLESS: [&str; 6] =
    ["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"];

impl ChatRequest {
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| ChatError::invalid("body", format!("the body is no JSON object: {error}")))?;
        for (name, value) in &fields {
            let neutral = match name.as_str() {
                "n" => value.as_u64() == Some(1),
                "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
                "logprobs" | "parallel_tool_calls" => value.as_bool() == Some(false),
                "response_format" => value["type"] == "text",
                name => KNOWN.contains(&name) || HARMLESS.contains(&name),
            };
            if !neutral && !value.is_null() {
                return Err(ChatError::unsupported(name));
            }
        }
        let read = |name: &str, value: &Value| KNOWN.contains(&name) && !value.is_null();
        let fields = fields.into_iter().filter(|(name, value)| read(name, value)).collect();
        Self::deserialize(Value::Object(fields))
            .map_err(|error| ChatError::invalid("body", error.to_string()))
    }

    pub fn includes_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or_default()
    }

    /// The question, with the earlier turns of the chat.
    pub fn question(&self) -> Result<NewAnswer, ChatError> {
        let last = self.messages.split_last().filter(|(last, _)| last.role == Role::User);
        let Some((last, earlier)) = last else {
            return Err(ChatError::invalid("messages", "the last message has to be the user's question"));
        };
        let mut history = Vec::new();
        let mut asked = None;
        for message in earlier {
            let words = message.content.text();
            match message.role {
                Role::User => asked = Some(words),
                Role::Assistant => {
                    if let Some(question) = asked.take() {
                        history.push(answer::Turn { question, answer: words, sources: Vec::new() });
                    }
                }
                // The instruction is part of what the documents were read behind.
                Role::System | Role::Developer => {}
            }
        }
        Ok(NewAnswer {
            question: last.content.text(),
            mode: self.mode.unwrap_or_default(),
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            max_output_tokens: self.max_completion_tokens.or(self.max_tokens),
            history,
            ..NewAnswer::default()
        })
    }
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                let texts: Vec<&str> = parts.iter().map(|Part::Text { text }| text.as_str()).collect();
                texts.join("\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(more: Value) -> Result<NewAnswer, String> {
        let mut request = json!({ "model": "corpus:x", "messages": [{ "role": "user", "content": "Why?" }] });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        let refused = |error: ChatError| error.param.unwrap_or_default();
        ChatRequest::read(request.to_string().as_bytes()).map_err(refused)?.question().map_err(refused)
    }

    #[test]
    fn what_would_change_the_answer_is_refused_by_name() {
        assert_eq!(read(json!({})).unwrap().question, "Why?");
        assert!(read(json!({ "n": 1, "user": "me", "tools": null, "presence_penalty": 0 })).is_ok());
        for field in ["tools", "stop", "logit_bias", "functions", "audio", "made_up"] {
            assert_eq!(read(json!({ field: [1] })).unwrap_err(), field);
        }
        for (field, value) in [("n", json!(2)), ("logprobs", json!(true)), ("frequency_penalty", json!(0.5))]
        {
            assert_eq!(read(json!({ field: value })).unwrap_err(), field);
        }
    }

    #[test]
    fn the_last_message_is_the_question_and_the_others_its_history() {
        let messages = json!([
            { "role": "system", "content": "Be kind." },
            { "role": "user", "content": [{ "type": "text", "text": "Who?" }] },
            { "role": "assistant", "content": "Ann." },
            { "role": "user", "content": "When?" },
        ]);
        let asked = read(json!({ "messages": messages, "max_tokens": 9 })).unwrap();
        assert_eq!((asked.question.as_str(), asked.max_output_tokens), ("When?", Some(9)));
        assert_eq!((asked.history[0].question.as_str(), asked.history[0].answer.as_str()), ("Who?", "Ann."));
        let unanswered = json!([{ "role": "assistant", "content": "Ann." }]);
        assert_eq!(read(json!({ "messages": unanswered })).unwrap_err(), "messages");
    }
}
