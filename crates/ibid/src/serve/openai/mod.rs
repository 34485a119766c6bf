//! `POST /v1/chat/completions`: a corpus as a model of OpenAI's chat interface, for programs that know no other. The last
//! message of the user is the question; earlier turns are taken along like those of a conversation.

mod reply;
mod request;

use super::{
    answers::{accept, finished},
    caller::Caller,
    live::Live,
    refusal::Refusal,
    service::Service,
};
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use catalog::Scope;
use reply::Chat;
pub use request::ChatRequest;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// An error in OpenAI's shape.
pub struct ChatError {
    status: u16,
    message: String,
    /// The field at fault.
    param: Option<String>,
    code: String,
}

impl ChatError {
    fn invalid(param: &str, message: impl Into<String>) -> Self {
        let (message, param) = (message.into(), Some(param.to_owned()));
        Self { status: 400, message, param, code: "invalid_value".into() }
    }

    fn unsupported(param: &str) -> Self {
        let message = format!("{param} is not supported here");
        Self { code: "unsupported_parameter".into(), ..Self::invalid(param, message) }
    }

    fn object(&self) -> serde_json::Value {
        let kind = match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}

impl From<Refusal> for ChatError {
    fn from(refusal: Refusal) -> Self {
        let told = refusal.object();
        Self { status: told.status, message: told.detail, param: None, code: told.code }
    }
}

impl IntoResponse for ChatError {
    fn into_response(self) -> Response {
        // What RFC 9457 problems say with 422 and 413, OpenAI's interface says with 400.
        let status = if matches!(self.status, 413 | 415 | 422 | 499) { 400 } else { self.status };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.object())).into_response()
    }
}

/// Chat with a corpus, in OpenAI's form
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", request_body = ChatRequest,
    responses((status = 200, content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", description = "OpenAI's error object", body = Object, content_type = "application/json")))]
pub async fn complete(
    State(service): State<Arc<Service>>,
    caller: Result<Caller, Refusal>,
    body: Bytes,
) -> Result<Response, ChatError> {
    let caller = caller?;
    caller.allow(Scope::Ask)?;
    let request = ChatRequest::read(&body)?;
    let corpus = match request.model.strip_prefix("corpus:") {
        Some(id) => caller.corpus(&service, id).await?,
        None => {
            let message = format!("no model {:?}; name a corpus as corpus:ID", request.model);
            return Err(ChatError {
                status: 404,
                code: "model_not_found".into(),
                ..ChatError::invalid("model", message)
            });
        }
    };
    let question = request.question()?;
    let live = accept(&service, &caller, &corpus, &question).await?;
    let chat = Chat::new(&request.model, &live.id);
    if request.stream {
        return Ok(stream(service, caller, live, chat, request.includes_usage()));
    }
    live.ended().await;
    let answer = finished(&service, &caller, &live).await?;
    Ok(Json(chat.whole(&answer)).into_response())
}

fn stream(service: Arc<Service>, caller: Caller, live: Arc<Live>, chat: Chat, usage: bool) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Event, Infallible>>(64);
    tokio::spawn(async move {
        let send = async |data: String| sender.send(Ok(Event::default().data(data))).await.is_ok();
        let mut seen = 0;
        send(chat.opening().to_string()).await;
        loop {
            let events = live.after(seen).await;
            if events.is_empty() {
                break;
            }
            seen += events.len();
            for event in events.iter().filter(|event| event.kind == "text.delta") {
                let text = event.data["text"].as_str().unwrap_or_default();
                if !send(chat.delta(text).to_string()).await {
                    // The client has gone; the answer goes on and is kept.
                    return;
                }
            }
        }
        match finished(&service, &caller, &live).await {
            Ok(answer) => {
                for chunk in chat.closing(&answer, usage) {
                    send(chunk.to_string()).await;
                }
            }
            Err(refusal) => {
                send(ChatError::from(refusal).object().to_string()).await;
            }
        }
        send("[DONE]".into()).await;
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(10)).text("ping");
    Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response()
}
