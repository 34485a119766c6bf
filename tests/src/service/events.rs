//! Server-sent events as they arrive.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Lines},
    time::Instant,
};
use ureq::{BodyReader, http::Response};

/// A server-sent event, and when it came.
#[derive(Debug)]
pub struct Event {
    pub id: Option<u64>,
    pub kind: String,
    pub data: Value,
    pub at: Instant,
}

/// Events until the server ends the stream or is gone. Dropping it closes the connection.
pub struct Events(Lines<BufReader<BodyReader<'static>>>);

impl Events {
    #[track_caller]
    pub fn of(response: Response<ureq::Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        if parts.status != 200 {
            panic!("{}: {}", parts.status, body.read_to_string().unwrap_or_default());
        }
        assert_eq!(parts.headers["content-type"], "text/event-stream");
        Self(BufReader::new(body.into_reader()).lines())
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let (mut id, mut kind) = (None, String::new());
        loop {
            // A server that was killed has sent its last event.
            let line = self.0.next()?.ok()?;
            match line.split_once(": ") {
                Some(("id", number)) => id = Some(number.parse().unwrap()),
                Some(("event", name)) => kind = name.to_owned(),
                Some(("data", data)) => {
                    let at = Instant::now();
                    return Some(Event { id, kind, data: serde_json::from_str(data).unwrap(), at });
                }
                _ => {}
            }
        }
    }
}

/// What the text events said.
pub fn said(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.kind == "text.delta");
    deltas.map(|event| event.data["text"].as_str().unwrap()).collect()
}
