//! What may stand in a chat request. Parameters that would change the answer and are not known here are refused by name:
//! ignoring them would give another answer than was asked for.

use super::ChatError;
use crate::serve::answers::{AnswerMode, NewAnswer};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatRequest {
    /// `corpus:` and the id of a corpus.
    pub model: String,
    /// The last message of the user is the question.
    pub messages: Vec<ChatMessage>,
    #[serde(default)]
    pub stream: bool,
    pub stream_options: Option<StreamOptions>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub seed: Option<u64>,
    pub max_tokens: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    /// `auto`, `quote` or `free`: a field of ours.
    pub mode: Option<AnswerMode>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
    pub role: String,
    /// Text, or a list of parts of type `text`.
    #[schema(value_type = Object)]
    pub content: Value,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct StreamOptions {
    #[serde(default)]
    pub include_usage: bool,
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
        let fields = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
        Self::deserialize(Value::Object(fields))
            .map_err(|error| ChatError::invalid("body", error.to_string()))
    }

    pub fn includes_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    /// The question, with the earlier turns of the chat.
    pub fn question(&self) -> Result<NewAnswer, ChatError> {
        let Some((last, earlier)) = self.messages.split_last().filter(|(last, _)| last.role == "user") else {
            return Err(ChatError::invalid("messages", "the last message has to be the user's question"));
        };
        let mut history = Vec::new();
        let mut asked = None;
        for message in earlier {
            let words = text(&message.content)?;
            match message.role.as_str() {
                "user" => asked = Some(words),
                "assistant" => {
                    if let Some(question) = asked.take() {
                        history.push(answer::Turn { question, answer: words, sources: Vec::new() });
                    }
                }
                // The instruction is part of what the documents were read behind.
                "system" | "developer" => {}
                role => return Err(ChatError::invalid("messages", format!("no role {role:?} here"))),
            }
        }
        Ok(NewAnswer {
            question: text(&last.content)?,
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

/// The words of a message.
fn text(content: &Value) -> Result<String, ChatError> {
    let refused = || ChatError::invalid("messages", "a message's content is text or a list of text parts");
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let texts: Option<Vec<&str>> =
                parts.iter().map(|part| part["text"].as_str().filter(|_| part["type"] == "text")).collect();
            texts.map(|texts| texts.join("\n")).ok_or_else(refused)
        }
        _ => Err(refused()),
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
