//! An answer as server-sent events (HTML Living Standard, 9.2): while it is made, or from the catalog afterwards.

use super::{live::Live, refusal::Refusal, service::Service};
use crate::rest;
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use catalog::{AnswerEvent, AnswerStatus};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Proxies close a connection that is silent for long.
const PING: Duration = Duration::from_secs(10);
/// Events between the answer and a slow listener.
const AHEAD: usize = 64;

/// What a stream is made of.
pub enum Follow {
    Live(Arc<Live>),
    Stored(Vec<AnswerEvent>),
}

/// What the catalog knows of an answer that is not being made, from event `next` on. Without its events, which go with a
/// document it was composed from, it is told by its row.
pub async fn stored(
    service: &Service,
    stored: &catalog::Answer,
    next: u64,
) -> Result<Vec<AnswerEvent>, Refusal> {
    let mut all = service.catalog().events(&stored.owner, stored.id.as_str(), None).await?;
    let ends = |event: &AnswerEvent| matches!(event.kind.as_str(), "answer.completed" | "error");
    if !all.last().is_some_and(ends) {
        // A process that ended just behind the answer has not told its end.
        let seq = all.last().map_or(next, |last| last.seq + 1);
        all.push(last_event(stored, seq)?);
    }
    Ok(all.into_iter().filter(|event| event.seq >= next).collect())
}

fn last_event(stored: &catalog::Answer, seq: u64) -> Result<AnswerEvent, Refusal> {
    let object = rest::stored_answer(stored);
    if let (AnswerStatus::Failed, Some(reason)) = (stored.status, &object.error) {
        let told = Refusal::told(500, reason.code.clone(), reason.message.clone()).object();
        return Ok(AnswerEvent { seq, kind: "error".into(), data: serde_json::to_value(told)? });
    }
    Ok(AnswerEvent { seq, kind: "answer.completed".into(), data: serde_json::to_value(object)? })
}

/// Events from number `next` on.
pub fn stream(follow: Follow, next: u64) -> Response {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        match follow {
            Follow::Stored(events) => {
                send(&sender, events).await;
            }
            Follow::Live(live) => {
                let mut seen = usize::try_from(next).unwrap_or(usize::MAX);
                loop {
                    let events = tokio::select! {
                        events = live.after(seen) => events,
                        // The listener has gone; the answer goes on.
                        () = sender.closed() => return,
                    };
                    seen += events.len();
                    if events.is_empty() || !send(&sender, events).await {
                        return;
                    }
                }
            }
        }
    });
    let keep_alive = KeepAlive::new().interval(PING).text("ping");
    Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response()
}

async fn send(to: &mpsc::Sender<Result<Event, Infallible>>, events: Vec<AnswerEvent>) -> bool {
    for AnswerEvent { seq, kind, data } in events {
        // JSON has no raw line ends, so that it is one line of data.
        let event = Event::default().id(seq.to_string()).event(kind).data(data.to_string());
        if to.send(Ok(event)).await.is_err() {
            return false;
        }
    }
    true
}
