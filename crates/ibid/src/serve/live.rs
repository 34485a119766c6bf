//! `Live`: an answer while it is made. What is said goes to its listeners at once and to the catalog a little later.

use super::refusal::Refusal;
use answer::AskEvent;
use base::Id;
use catalog::{AnswerEvent, Catalog};
use scout::Cancel;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// Things told that are stored in one commit, at most.
const BATCH: usize = 256;

pub struct Live {
    pub id: Id,
    pub corpus: Id,
    pub cancel: Cancel,
    said: Mutex<Said>,
    /// What it is composed from, once that is known.
    sources: OnceLock<Vec<Id>>,
    /// Number of events, and whether there will be no more.
    told: watch::Sender<(usize, bool)>,
}

#[derive(Default)]
struct Said {
    events: Vec<AnswerEvent>,
    keeper: Option<mpsc::UnboundedSender<Kept>>,
}

/// For the catalog, in the order told.
enum Kept {
    Started(u64),
    Sources(Vec<Id>),
    Event(AnswerEvent),
}

impl Live {
    pub fn new(accepted: &catalog::Answer) -> Self {
        Self {
            id: accepted.id.clone(),
            corpus: accepted.corpus.clone(),
            cancel: Cancel::default(),
            said: Mutex::default(),
            sources: OnceLock::new(),
            told: watch::Sender::new((0, false)),
        }
    }

    /// One that has ended, from what the catalog holds of it.
    pub fn over(answer: &catalog::Answer, events: Vec<AnswerEvent>) -> Self {
        let told = watch::Sender::new((events.len(), true));
        Self { said: Mutex::new(Said { events, keeper: None }), told, ..Self::new(answer) }
    }

    /// Stores what is told from now on, until [`Live::flush`].
    pub fn keep_events(&self, catalog: Catalog, model_fingerprint: String) -> JoinHandle<()> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.said().keeper = Some(sender);
        tokio::spawn(keep(catalog, self.id.clone(), model_fingerprint, receiver))
    }

    /// Nothing more is stored here.
    pub fn flush(&self) {
        self.said().keeper = None;
    }

    /// Passes on what the engine says.
    pub fn tell(&self, event: AskEvent) {
        let (kind, data) = match event {
            AskEvent::Started { corpus_version } => {
                self.keep(Kept::Started(corpus_version));
                ("answer.created", json!({ "answer_id": self.id.as_str(), "corpus_version": corpus_version }))
            }
            AskEvent::Composing { sources } => {
                // Said again after a damaged segment was rebuilt: of the same passages.
                let _ = self.sources.set(sources.clone());
                return self.keep(Kept::Sources(sources));
            }
            AskEvent::Loading { kv_bytes_done, kv_bytes_total } => (
                "corpus.loading",
                json!({ "kv_bytes_done": kv_bytes_done, "kv_bytes_total": kv_bytes_total }),
            ),
            // Heard as time, and as prefilled tokens of the usage.
            AskEvent::Rebuilding { .. } => return,
            AskEvent::Text(text) => ("text.delta", json!({ "text": text })),
        };
        for event in self.append(vec![(kind, data)]) {
            self.keep(Kept::Event(event));
        }
    }

    /// Whether it could take words from the document: until its sources are known, from any.
    pub fn may_quote(&self, document: &Id) -> bool {
        self.sources.get().is_none_or(|sources| sources.contains(document))
    }

    fn keep(&self, kept: Kept) {
        if let Some(keeper) = &self.said().keeper {
            // The keeper ends with the answer's row.
            let _ = keeper.send(kept);
        }
    }

    /// Tells listeners; gives the events with their numbers.
    pub fn append(&self, new: Vec<(&'static str, Value)>) -> Vec<AnswerEvent> {
        let mut said = self.said();
        let first = said.events.len() as u64;
        let numbered =
            (first..).zip(new).map(|(seq, (kind, data))| AnswerEvent { seq, kind: kind.into(), data });
        let numbered: Vec<AnswerEvent> = numbered.collect();
        said.events.extend(numbered.iter().cloned());
        let n = said.events.len();
        drop(said);
        self.told.send_modify(|told| told.0 = n);
        numbered
    }

    pub fn end(&self) {
        self.told.send_modify(|told| told.1 = true);
    }

    /// Waits for what follows the first `seen` events; empty when there is no more.
    pub async fn after(&self, seen: usize) -> Vec<AnswerEvent> {
        let mut told = self.told.subscribe();
        // The sender lives as long as this does.
        let _ = told.wait_for(|(n, ended)| *n > seen || *ended).await;
        self.said().events.get(seen..).unwrap_or_default().to_vec()
    }

    /// Why there is no answer, when it ended without one.
    pub fn refusal(&self) -> Option<Refusal> {
        let said = self.said();
        let last = said.events.last().filter(|event| event.kind == "error")?;
        let text = |name: &str| last.data[name].as_str().unwrap_or_default().to_owned();
        let status = last.data["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        Some(Refusal::told(status.unwrap_or(500), text("code"), text("detail")))
    }

    /// Passages near a question that was not answered.
    pub fn related(&self) -> Vec<answer::Related> {
        let said = self.said();
        let last = said.events.last().filter(|event| event.kind == "answer.completed");
        last.and_then(|event| Vec::deserialize(&event.data["related"]).ok()).unwrap_or_default()
    }

    /// Waits for the end.
    pub async fn ended(&self) {
        let mut told = self.told.subscribe();
        let _ = told.wait_for(|(_, ended)| *ended).await;
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep(
    catalog: Catalog,
    answer: Id,
    model_fingerprint: String,
    mut told: mpsc::UnboundedReceiver<Kept>,
) {
    let mut batch = Vec::new();
    while told.recv_many(&mut batch, BATCH).await > 0 {
        let mut events = Vec::new();
        for kept in batch.drain(..) {
            let noted = match kept {
                Kept::Event(event) => {
                    events.push(event);
                    continue;
                }
                Kept::Started(version) => catalog.start_answer(&answer, version, &model_fingerprint).await,
                Kept::Sources(sources) => catalog.note_sources(&answer, &sources).await,
            };
            if let Err(error) = noted {
                tracing::warn!(answer = answer.as_str(), "what was said is not kept: {error}");
                return;
            }
        }
        // Sources are told before the first text, so that whatever is stored here can be found when one is removed.
        match catalog.append_events(&answer, &events).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(answer = answer.as_str(), "what was said is not kept: {error}");
                return;
            }
        }
    }
}
