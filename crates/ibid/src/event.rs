//! What a command says while it runs: one stream of events, shown by a terminal or carried over the local socket.

use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// For standard output, verbatim.
    Text {
        text: String,
    },
    /// The command's result, in JSON mode.
    Object {
        value: Value,
    },
    /// A line for standard error.
    Note {
        text: String,
    },
    Progress(Progress),
    Problem(Problem),
    /// The last event.
    Exit {
        code: u8,
    },
}

/// `done` of `total` in `unit`; rate in units per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: String,
    pub unit: String,
    pub done: u64,
    pub total: u64,
    pub rate: f64,
    pub eta_s: Option<u64>,
}

/// Set by Ctrl-C, or when nobody listens any more.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The speaking end, cheap to clone and usable from any thread.
#[derive(Debug, Clone)]
pub struct Out {
    events: mpsc::UnboundedSender<Event>,
    pub json: bool,
    pub cancel: Cancel,
}

impl Out {
    pub fn new(json: bool) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, listener) = mpsc::unbounded_channel();
        (Self { events, json, cancel: Cancel::default() }, listener)
    }

    pub fn send(&self, event: Event) {
        if self.events.send(event).is_err() {
            self.cancel.request();
        }
    }

    /// Words for a person; nothing in JSON mode.
    pub fn text(&self, text: impl Into<String>) {
        if !self.json {
            self.send(Event::Text { text: text.into() });
        }
    }

    pub fn line(&self, text: impl std::fmt::Display) {
        self.text(format!("{text}\n"));
    }

    /// Objects of ours always encode.
    pub fn object(&self, object: impl Serialize) {
        if self.json {
            let value = serde_json::to_value(object).unwrap_or_default();
            self.send(Event::Object { value });
        }
    }

    pub fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() });
    }
}

/// Measures one stage and reports it at most five times a second.
pub struct Meter {
    out: Out,
    stage: String,
    unit: String,
    began: Instant,
    /// Work that was done before this process began: no part of the rate.
    first: Option<u64>,
    said: Option<Instant>,
}

impl Meter {
    pub fn new(out: &Out, stage: &str, unit: &str) -> Self {
        Self {
            out: out.clone(),
            stage: stage.into(),
            unit: unit.into(),
            began: Instant::now(),
            first: None,
            said: None,
        }
    }

    pub fn report(&mut self, done: u64, total: u64) {
        let first = *self.first.get_or_insert(done);
        let last = done >= total;
        if !last && self.said.is_some_and(|said| said.elapsed() < Duration::from_millis(200)) {
            return;
        }
        self.said = Some(Instant::now());
        let rate = done.saturating_sub(first) as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        let eta_s = (rate > 0.0).then(|| (total.saturating_sub(done) as f64 / rate).ceil() as u64);
        self.out.send(Event::Progress(Progress {
            stage: self.stage.clone(),
            unit: self.unit.clone(),
            done,
            total,
            rate,
            eta_s,
        }));
    }
}
