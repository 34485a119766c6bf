//! `POST /v1/chat/completions`: a corpus as a model of OpenAI's chat interface, for programs that know no other. The last
//! message of the user is the question; earlier turns are taken along like those of a conversation.

mod objects;
mod reply;
mod request;

use super::{
    answers::{Asked, accept, finished, told},
    caller::Caller,
    description::ChatStreamEvent,
    extract::too_long,
    live::Live,
    refusal::Refusal,
    service::Service,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header::RETRY_AFTER},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use catalog::Scope;
use objects::{ChatCompletion, ChatErrorDetail, ChatErrorObject};
use reply::Chat;
pub use request::ChatRequest;
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
    retry_after_s: Option<u64>,
}

impl ChatError {
    fn invalid(param: &str, message: impl Into<String>) -> Self {
        let (message, param) = (message.into(), Some(param.to_owned()));
        Self { status: 400, message, param, code: "invalid_value".into(), retry_after_s: None }
    }

    fn unsupported(param: &str) -> Self {
        let message = format!("{param} is not supported here");
        Self { code: "unsupported_parameter".into(), ..Self::invalid(param, message) }
    }

    fn no_model(name: &str) -> Self {
        let message = format!("no model {name:?}; name a corpus of yours as corpus:ID");
        Self { status: 404, code: "model_not_found".into(), ..Self::invalid("model", message) }
    }

    fn object(&self) -> ChatErrorObject {
        let kind = match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let (message, param, code) = (self.message.clone(), self.param.clone(), self.code.clone());
        ChatErrorObject { error: ChatErrorDetail { message, kind, param, code } }
    }
}

impl From<Refusal> for ChatError {
    fn from(refusal: Refusal) -> Self {
        let told = refusal.object();
        let retry_after_s = refusal.retry_after_s;
        Self { status: told.status, message: told.detail, param: None, code: told.code, retry_after_s }
    }
}

impl IntoResponse for ChatError {
    fn into_response(self) -> Response {
        // What RFC 9457 problems say with 422 and 413, OpenAI's interface says with 400.
        let status = if matches!(self.status, 413 | 415 | 422 | 499) { 400 } else { self.status };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.object())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Chat with a corpus, in OpenAI's form
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", operation_id = "complete_chat", request_body = ChatRequest,
    responses((status = 200, content((ChatCompletion = "application/json"), (ChatStreamEvent = "text/event-stream"))),
        (status = "4XX", body = ChatErrorObject, content_type = "application/json")))]
pub async fn complete(
    State(service): State<Arc<Service>>,
    caller: Result<Caller, Refusal>,
    before: Option<Extension<Asked>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ChatError> {
    let caller = caller?;
    caller.allow(Scope::Ask)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_long(service.settings.service.request_bytes),
        _ => Refusal::new(400, "bad_request", rejection.body_text()),
    })?;
    let request = ChatRequest::read(&body)?;
    let corpus = match request.model.strip_prefix("corpus:") {
        Some(id) => caller.corpus(&service, id).await.map_err(|refusal| match refusal.status() {
            404 => ChatError::no_model(&request.model),
            _ => refusal.into(),
        })?,
        None => return Err(ChatError::no_model(&request.model)),
    };
    let question = request.question()?;
    let live = match before {
        Some(Extension(Asked(id))) => told(&service, &caller, &id).await?,
        None => accept(&service, &caller, &corpus, &question).await?,
    };
    let chat = Chat::new(&request.model, &live.id);
    if request.stream == Some(true) {
        let asked = Extension(Asked(live.id.clone()));
        return Ok((asked, stream(service, caller, live, chat, request.includes_usage())).into_response());
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
                let told = serde_json::to_string(&ChatError::from(refusal).object());
                send(told.unwrap_or_default()).await;
            }
        }
        send("[DONE]".into()).await;
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(10)).text("ping");
    Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response()
}
