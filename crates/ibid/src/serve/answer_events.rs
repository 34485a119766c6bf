//! An answer as server-sent events (HTML Living Standard, 9.2): while it is made, or from the catalog afterwards.

use super::{live::Live, refusal::Refusal, service::Service};
use crate::rest;
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use catalog::AnswerEvent;
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
    let all = service.catalog().events(&stored.owner, stored.id.as_str(), None).await?;
    if all.is_empty() {
        let data = serde_json::to_value(rest::stored_answer(stored))?;
        return Ok(vec![AnswerEvent { seq: next, kind: "answer.completed".into(), data }]);
    }
    Ok(all.into_iter().filter(|event| event.seq >= next).collect())
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
