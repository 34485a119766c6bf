//! Questions being answered: they outlive the request that asked. An accepted question is a row of the catalog; a few
//! run at a time, owners take turns, and what is said is kept so that a listener may come back for it.

use super::{live::Live, refusal::Refusal, turns::Turns};
use crate::{
    problem::Failure,
    rest::{self, Reason},
    settings,
};
use answer::{AskEvent, AskRequest, Turn};
use base::Id;
use catalog::{AnswerStatus, Catalog};
use ingest::Ingest;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Full shares that the line has room for.
const OWNERS_IN_LINE: usize = 16;

/// Cheap to clone.
#[derive(Clone)]
pub struct Questions(Arc<Inner>);

struct Inner {
    ingest: Ingest,
    /// Questions at the same time, and in the line behind them.
    at_once: usize,
    in_line: usize,
    state: Mutex<State>,
    stopping: AtomicBool,
    answered: AtomicU64,
    output_tokens: AtomicU64,
    prefilled: AtomicU64,
    reused: AtomicU64,
}

/// A promised place in the line; given back when it is dropped.
pub struct Place {
    questions: Questions,
    owner: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.questions.0.state();
        if let Some(n) = state.promised.get_mut(&self.owner) {
            *n -= 1;
            if *n == 0 {
                state.promised.remove(&self.owner);
            }
        }
    }
}

#[derive(Default)]
struct State {
    waiting: Turns<Asked>,
    /// Places in the line that are promised, by owner.
    promised: HashMap<String, usize>,
    running: usize,
    /// Tasks of questions that run, or have given their place back and are telling how they ended.
    tasks: usize,
    /// Waiting and running, by answer.
    live: HashMap<String, Arc<Live>>,
}

/// An accepted question in the line.
struct Asked {
    accepted: catalog::Answer,
    live: Arc<Live>,
}

/// The place of a question that runs; given back before its listeners are told that it ended, so that they find it free.
struct Running(Questions);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.state().running -= 1;
    }
}

/// The task of a question, until the last listener was told.
struct Telling(Questions);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.0.state().tasks -= 1;
    }
}

/// Sums since the start of the process.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub answered: u64,
    pub output_tokens: u64,
    pub prefilled: u64,
    pub reused: u64,
}

impl Questions {
    pub fn new(ingest: Ingest, limits: &settings::Service) -> Self {
        Self(Arc::new(Inner {
            ingest,
            at_once: limits.concurrent_questions.max(1) as usize,
            in_line: limits.queued_questions as usize,
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
            prefilled: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }))
    }

    /// Runs again, from its seed and under its id, what an earlier process left unfinished.
    pub async fn resume(&self) -> Result<(), catalog::Error> {
        let catalog = &self.0.ingest.stores.catalog;
        for answer in catalog.unfinished_answers().await? {
            catalog.restart_answer(&answer.id).await?;
            self.line_up(catalog.answer(&answer.owner, answer.id.as_str()).await?);
        }
        Ok(())
    }

    /// A place in the line for a question that is about to be accepted.
    ///
    /// Errors: 429 when the owner's share of the line is full, so that nobody can keep the others out; or the whole
    /// line, which has room for [`OWNERS_IN_LINE`] shares.
    pub fn reserve(&self, owner: &str) -> Result<Place, Refusal> {
        let mut state = self.0.state();
        let theirs = state.waiting.of(owner) + state.promised.get(owner).copied().unwrap_or(0);
        let all = state.waiting.len() + state.promised.values().sum::<usize>();
        if theirs < self.0.in_line && all < self.0.in_line.saturating_mul(OWNERS_IN_LINE) {
            *state.promised.entry(owner.to_owned()).or_default() += 1;
            return Ok(Place { questions: self.clone(), owner: owner.to_owned() });
        }
        let detail = format!(
            "{theirs} questions of yours are waiting ({all} in all), queued_questions = {} allows no more; ask again in a \
             moment",
            self.0.in_line
        );
        Err(Refusal::busy("queue_full", detail, 2))
    }

    /// Puts an accepted question in its place in the line.
    pub fn enqueue(&self, place: Place, accepted: catalog::Answer) -> Arc<Live> {
        drop(place);
        self.line_up(accepted)
    }

    fn line_up(&self, accepted: catalog::Answer) -> Arc<Live> {
        let live = Arc::new(Live::new(&accepted));
        let mut state = self.0.state();
        state.live.insert(accepted.id.to_string(), live.clone());
        state.waiting.push(accepted.owner.clone(), Asked { accepted, live: live.clone() });
        drop(state);
        self.start_next();
        live
    }

    /// One that waits or runs.
    pub fn live(&self, answer: &str) -> Option<Arc<Live>> {
        self.0.state().live.get(answer).cloned()
    }

    /// Running, waiting.
    pub fn load(&self) -> (u64, u64) {
        let state = self.0.state();
        (state.running as u64, state.waiting.len() as u64)
    }

    pub fn figures(&self) -> Figures {
        Figures {
            answered: self.0.answered.load(Relaxed),
            output_tokens: self.0.output_tokens.load(Relaxed),
            prefilled: self.0.prefilled.load(Relaxed),
            reused: self.0.reused.load(Relaxed),
        }
    }

    /// Stops a question; one that waits leaves the line at once.
    pub async fn cancel(&self, answer: &str) {
        self.cancel_all(|live| live.id.as_str() == answer).await;
    }

    /// Stops all questions about a corpus that is going away.
    pub async fn cancel_corpus(&self, corpus: &Id) {
        self.cancel_all(|live| live.corpus == *corpus).await;
    }

    /// Stops what could still quote a document that is going away, and waits until nobody hears of it any more.
    pub async fn cancel_quoting(&self, corpus: &Id, document: &Id) {
        let quoting = |live: &Live| live.corpus == *corpus && live.may_quote(document);
        let meant: Vec<_> = self.0.state().live.values().filter(|live| quoting(live)).cloned().collect();
        for live in meant {
            self.cancel(live.id.as_str()).await;
            live.ended().await;
        }
    }

    async fn cancel_all(&self, meant: impl Fn(&Live) -> bool) {
        let waiting = {
            let mut state = self.0.state();
            state.live.values().filter(|live| meant(live)).for_each(|live| live.cancel.cancel());
            state.waiting.remove(|asked| meant(&asked.live))
        };
        for Asked { accepted, live } in waiting {
            let cancelled = answer::Error::Engine(scout::Error::Cancelled);
            self.end(&accepted, &live, Err(cancelled.into()), None).await;
        }
    }

    /// Starts no further question; who listens to one that waits is let go.
    pub fn begin_stop(&self) {
        self.0.stopping.store(true, Relaxed);
        self.0.state().waiting.iter().for_each(|asked| asked.live.end());
    }

    /// Starts no further question and waits for those that run or are being ended; the others run when the service is
    /// started again.
    pub async fn stop(&self) {
        self.0.stopping.store(true, Relaxed);
        while self.0.state().tasks > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn start_next(&self) {
        let mut state = self.0.state();
        while state.running < self.0.at_once && !self.0.stopping.load(Relaxed) {
            let Some(asked) = state.waiting.pop() else { return };
            state.running += 1;
            state.tasks += 1;
            let questions = self.clone();
            tokio::spawn(async move {
                let _telling = Telling(questions.clone());
                let (accepted, live) = (asked.accepted.clone(), asked.live.clone());
                let place = Running(questions.clone());
                let work = tokio::spawn({
                    let questions = questions.clone();
                    async move { questions.run(asked, place).await }
                });
                // A panic of one question must neither take its place for good nor leave its listeners waiting.
                if work.await.is_err() {
                    live.flush();
                    let stopped = Refusal::new(500, "internal", "answering stopped unexpectedly");
                    questions.end(&accepted, &live, Err(stopped), None).await;
                }
                questions.start_next();
            });
        }
    }

    async fn run(&self, Asked { accepted, live }: Asked, place: Running) {
        let ingest = &self.0.ingest;
        let catalog = ingest.stores.catalog.clone();
        let request = match request(&catalog, &accepted).await {
            Ok(request) => request,
            Err(error) => return self.end(&accepted, &live, Err(error.into()), Some(place)).await,
        };
        let fingerprint = ingest.engine.fingerprint().to_string();
        let keeper = live.keep_events(catalog.clone(), fingerprint);
        let mut tell = |event: AskEvent| live.tell(event);
        let outcome = answer::ask_accepted(ingest, &accepted, &request, &live.cancel, &mut tell).await;
        live.flush();
        // What was said is stored before it is called complete: a stream can be taken up from the catalog then.
        let _ = keeper.await;
        self.end(&accepted, &live, outcome.map_err(Refusal::from), Some(place)).await;
    }

    /// Tells listeners how it ended, once the catalog knows it and its place is free.
    async fn end(
        &self,
        accepted: &catalog::Answer,
        live: &Live,
        outcome: Result<answer::Answer, Refusal>,
        place: Option<Running>,
    ) {
        let catalog = &self.0.ingest.stores.catalog;
        let told = match outcome {
            Ok(fresh) => {
                self.count(&fresh);
                completed(catalog, accepted, fresh).await
            }
            Err(refusal) => Err(refusal),
        };
        let last = match told {
            Ok(events) => events,
            Err(refusal) => vec![failed(catalog, accepted, &refusal).await],
        };
        drop(place);
        self.start_next();
        let events = live.append(last);
        // A removed document's text is not kept; the answer is then served from its row.
        let _ = catalog.append_events(&accepted.id, &events).await;
        live.end();
        self.0.state().live.remove(accepted.id.as_str());
    }

    fn count(&self, answer: &answer::Answer) {
        self.0.answered.fetch_add(1, Relaxed);
        self.0.output_tokens.fetch_add(answer.usage.output_tokens, Relaxed);
        self.0.prefilled.fetch_add(answer.usage.prefilled_corpus_tokens, Relaxed);
        self.0.reused.fetch_add(answer.usage.reused_corpus_tokens, Relaxed);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request of an accepted question, with the earlier turns of its conversation.
async fn request(catalog: &Catalog, accepted: &catalog::Answer) -> Result<AskRequest, catalog::Error> {
    let mut request: AskRequest = serde_json::from_value(accepted.request.clone())
        .map_err(|_| catalog::Error::NotFound { kind: "request of answer", key: accepted.id.to_string() })?;
    if let Some(conversation) = &accepted.conversation {
        for earlier in catalog.answers_of(&accepted.owner, conversation).await? {
            if earlier.id < accepted.id
                && earlier.status == AnswerStatus::Completed
                && !earlier.source_removed
            {
                let sources = catalog.sources_of(&earlier.id).await?;
                request.history.push(Turn {
                    question: earlier.question,
                    answer: earlier.text,
                    sources: sources.iter().map(ToString::to_string).collect(),
                });
            }
        }
    }
    Ok(request)
}

/// The last events of a complete answer: its citations, then the whole, as the catalog keeps it.
async fn completed(
    catalog: &Catalog,
    accepted: &catalog::Answer,
    fresh: answer::Answer,
) -> Result<Vec<(&'static str, Value)>, Refusal> {
    let stored = catalog.answer(&accepted.owner, accepted.id.as_str()).await?;
    let mut object = rest::stored_answer(&stored);
    let mut events = Vec::new();
    if !stored.source_removed {
        object.related = fresh.related;
        for citation in &fresh.citations {
            events.push(("citation.added", json!({ "citation": citation })));
            let verified = json!({ "id": citation.id, "verification": citation.verification });
            events.push(("citation.verified", verified));
        }
    }
    events.push(("answer.completed", serde_json::to_value(object)?));
    Ok(events)
}

/// Notes why there is no answer and gives the event that says so.
async fn failed(catalog: &Catalog, accepted: &catalog::Answer, refusal: &Refusal) -> (&'static str, Value) {
    let cancelled = refusal.code() == "cancelled";
    let status = if cancelled { AnswerStatus::Cancelled } else { AnswerStatus::Failed };
    let told = refusal.object();
    let reason = Reason { code: told.code.clone(), message: told.detail.clone() };
    let reason = serde_json::to_value(reason).ok();
    // Gone with its corpus, or ended already: there is nothing left to note.
    let _ = catalog.fail_answer(&accepted.id, status, reason.as_ref()).await;
    if cancelled && let Ok(stored) = catalog.answer(&accepted.owner, accepted.id.as_str()).await {
        let object = serde_json::to_value(rest::stored_answer(&stored)).unwrap_or_default();
        return ("answer.completed", object);
    }
    if refusal.status() >= 500 {
        tracing::error!(answer = accepted.id.as_str(), code = refusal.code(), "{}", refusal.detail());
    }
    ("error", serde_json::to_value(told).unwrap_or_default())
}

/// Errors: 413 for one that is too long to be looked at.
pub fn check_length(question: &str, limit: u64) -> Result<(), Failure> {
    let characters = question.chars().count() as u64;
    if characters <= limit {
        return Ok(());
    }
    let detail = format!(
        "the question has {characters} characters, question_characters = {limit} allows no more; shorten it"
    );
    Err(Failure::new(413, "too_long", detail))
}
