//! Who is asking, and whose rows go into the next pass.
//!
//! Single tokens go first, so that nobody's answer waits for somebody's prompt; what they leave of a pass is filled with
//! tiles of prompts. Each place goes to the owner who was served the fewest rows, then to that owner's question that was
//! served the fewest, then to the oldest call: round robin counted in rows, however owners cut their questions.

use super::{call::Call, priority};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Rows of one pass: it bounds how long a newcomer has to wait for the pass that runs. A cancelled question does not wait
/// for it.
pub(super) const PASS_ROWS: usize = 256;
/// Rows of a pass that go to single tokens before prompts are looked at; the rest is theirs even when more tokens wait.
pub(super) const TOKEN_ROWS: usize = 128;
/// A question that finished a step this recently is about to ask for its next token.
const COMES_BACK: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QuestionId(u64);

/// Grows with arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallId(u64);

#[derive(Default)]
pub(super) struct Queue {
    /// Those with a registered question.
    owners: BTreeMap<String, Owner>,
    questions: BTreeMap<QuestionId, Registered>,
    /// Not in the running pass.
    waiting: BTreeMap<CallId, Call>,
    next_id: u64,
}

struct Owner {
    questions: usize,
    rows_served: u64,
}

struct Registered {
    owner: String,
    rows_served: u64,
    /// Queued, in a pass, or finished and not yet taken.
    calls: usize,
    /// When it was registered or last got a result.
    seen: Instant,
    has_stepped: bool,
}

impl Queue {
    /// A newcomer starts level with the least served: it neither catches up for the past nor waits for it.
    pub fn register(&mut self, owner: &str, now: Instant) -> QuestionId {
        let of_owner = self.questions.values().filter(|question| question.owner == owner);
        let rows_served = of_owner.map(|question| question.rows_served).min().unwrap_or(0);
        let least = self.owners.values().map(|owner| owner.rows_served).min().unwrap_or(0);
        let new = Owner { questions: 0, rows_served: least };
        self.owners.entry(owner.to_owned()).or_insert(new).questions += 1;
        let id = QuestionId(self.new_id());
        let owner = owner.to_owned();
        let registered = Registered { owner, rows_served, calls: 0, seen: now, has_stepped: false };
        self.questions.insert(id, registered);
        id
    }

    pub fn unregister(&mut self, id: QuestionId) {
        let Some(question) = self.questions.remove(&id) else { return };
        if let Some(owner) = self.owners.get_mut(&question.owner) {
            owner.questions -= 1;
            if owner.questions == 0 {
                self.owners.remove(&question.owner);
            }
        }
    }

    pub fn push(&mut self, call: Call) -> CallId {
        let id = CallId(self.new_id());
        if let Some(question) = self.questions.get_mut(&call.question) {
            question.calls += 1;
        }
        self.waiting.insert(id, call);
        id
    }

    /// The unfinished call waits for its next tiles, at the place of its arrival.
    pub fn put_back(&mut self, id: CallId, call: Call) {
        self.waiting.insert(id, call);
    }

    /// A call's result was taken by its caller.
    pub fn returned(&mut self, id: QuestionId, now: Instant) {
        if let Some(question) = self.questions.get_mut(&id) {
            question.calls -= 1;
            (question.seen, question.has_stepped) = (now, true);
        }
    }

    /// Takes back a call that is in no pass.
    pub fn withdraw(&mut self, id: CallId) -> Option<Call> {
        self.waiting.remove(&id)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn take_cancelled(&mut self) -> Vec<(CallId, Call)> {
        self.waiting.extract_if(.., |_, call| call.cancel.is_cancelled()).collect()
    }

    /// Takes the calls that have tiles in the next pass. Takes some whenever any wait: an empty pass has room for
    /// every tile.
    pub fn take_pass(&mut self) -> Vec<(CallId, Call)> {
        let tokens = self.fill(TOKEN_ROWS, true);
        self.fill(PASS_ROWS - tokens, false);
        self.waiting.extract_if(.., |_, call| call.is_in_pass()).collect()
    }

    /// Puts up to `room` rows into the next pass and gives their number.
    fn fill(&mut self, room: usize, tokens_only: bool) -> usize {
        let mut filled = 0;
        while let Some((id, stretch, rows)) = self.next(room - filled, tokens_only) {
            filled += rows;
            let call = self.waiting.get_mut(&id).expect("chosen from those waiting");
            call.put_into_pass(stretch, rows);
            if let Some(question) = self.questions.get_mut(&call.question) {
                question.rows_served += rows as u64;
                if let Some(owner) = self.owners.get_mut(&question.owner) {
                    owner.rows_served += rows as u64;
                }
            }
        }
        filled
    }

    fn next(&self, room: usize, tokens_only: bool) -> Option<(CallId, usize, usize)> {
        let fitting = self.waiting.iter().filter_map(|(id, call)| {
            let (stretch, rows) = call.fit(room, tokens_only)?;
            Some((self.rows_served(call), *id, stretch, rows))
        });
        let (_, id, stretch, rows) = fitting.min_by_key(|(served, id, ..)| (*served, *id))?;
        Some((id, stretch, rows))
    }

    /// By the owner and by the question, least first.
    fn rows_served(&self, call: &Call) -> (u64, u64) {
        let Some(question) = self.questions.get(&call.question) else { return (0, 0) };
        (self.owners.get(&question.owner).map_or(0, |owner| owner.rows_served), question.rows_served)
    }

    /// Whether a question that is between two tokens is about to come back.
    pub fn expects_more(&self, now: Instant) -> bool {
        let coming = |q: &Registered| q.has_stepped && q.calls == 0 && now < q.seen + COMES_BACK;
        self.questions.values().any(coming)
    }

    pub fn holds_prefill(&self, now: Instant) -> bool {
        self.questions.values().any(|q| q.calls > 0 || now < q.seen + priority::HOLD)
    }

    #[cfg(test)]
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
