//! The scheduler: the steps of all running questions share forward passes, and prefill gives way to them.
//!
//! There is no thread of its own. A caller of [`Scheduler::step`] moves its sequences into the queue; whoever finds no
//! pass running leads: it fills a pass from the queue, runs it, hands the results out, and lets the next caller lead
//! once its own call is finished. A token's logits do not depend on the batch it runs in, so merging changes no answer.
//!
//! - `call`: one caller's steps, cut into tiles; - `queue`: whose tiles go into the next pass; - `pass`: runs them, and
//!   keeps one caller's failure from the others; - `priority`: when prefill may run; - `question`: the callers' side.
//!
//! A caller must not be a thread of the rayon pool that the leader runs on: it would wait for work that waits for it.

mod call;
mod pass;
mod priority;
mod question;
mod queue;
#[cfg(test)]
mod tests;

pub use question::{Cancel, Question};
pub(crate) use queue::QuestionId;

use crate::{
    Error, Result,
    decode::{Decoding, Step},
    forward::Run,
};
use call::Call;
use pass::{Failure, Outcome};
use queue::{CallId, Queue};
use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The longest that a leader waits for questions that are about to come back with their next token.
const GATHER: Duration = Duration::from_millis(2);

#[derive(Default)]
pub(crate) struct Scheduler {
    state: Mutex<State>,
    /// A pass ended: calls may be finished, and the lead is free.
    passed: Condvar,
    /// A call was queued or a question ended: a leader that gathers looks again.
    arrived: Condvar,
    /// A question ended: prefill looks again.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// Until their callers wake up and take them.
    finished: BTreeMap<CallId, (Call, Outcome)>,
    leading: bool,
    prefill: priority::Share,
}

impl Scheduler {
    pub(crate) fn register(&self, owner: &str) -> QuestionId {
        self.state().queue.register(owner, Instant::now())
    }

    pub(crate) fn unregister(&self, question: QuestionId) {
        self.state().queue.unregister(question);
        self.arrived.notify_all();
        self.quiet.notify_all();
    }

    /// Runs all of `steps`, in as many passes as it takes. On an error every sequence is as it was before. A panic in
    /// the forward pass goes on in the thread whose steps caused it.
    pub(crate) fn step(
        &self,
        run: &dyn Run,
        question: QuestionId,
        cancel: &Cancel,
        steps: &mut [Step<'_>],
        vocab: usize,
    ) -> Result<Decoding> {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut call = Call::take(question, cancel, steps, vocab);
        let mut outcome = Ok(());
        if !call.is_done() {
            (call, outcome) = self.wait(run, call);
        }
        if outcome.is_err() {
            call.undo();
        }
        let decoding = call.give_back(steps);
        match outcome {
            Ok(()) => Ok(decoding),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Panic(payload)) => std::panic::resume_unwind(payload),
        }
    }

    /// Queues the call and leads passes or waits for those of others until it is finished.
    fn wait(&self, run: &dyn Run, call: Call) -> (Call, Outcome) {
        let question = call.question;
        let mut state = self.state();
        let id = state.queue.push(call);
        self.arrived.notify_all();
        loop {
            if let Some(finished) = state.finished.remove(&id) {
                state.queue.returned(question, Instant::now());
                return finished;
            }
            if state.leading {
                state = self.passed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state.leading = true;
                state = self.lead(self.gather(state), run);
                state.leading = false;
                self.passed.notify_all();
            }
        }
    }

    /// Waits a moment for questions that are between two tokens, so that one pass serves them all.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let deadline = Instant::now() + GATHER;
        loop {
            let now = Instant::now();
            if now >= deadline || !state.queue.expects_more(now) {
                return state;
            }
            let waited = self.arrived.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// One pass, with the lock free while it runs.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>, run: &dyn Run) -> MutexGuard<'a, State> {
        for (id, call) in state.queue.take_cancelled() {
            state.finished.insert(id, (call, Err(Failure::Error(Error::Cancelled))));
        }
        let mut calls = state.queue.take_pass();
        drop(state);
        let outcomes = pass::run(run, &mut calls);
        let mut state = self.state();
        for ((id, call), outcome) in calls.into_iter().zip(outcomes) {
            if outcome.is_ok() && !call.is_done() {
                state.queue.put_back(id, call);
            } else {
                state.finished.insert(id, (call, outcome));
            }
        }
        state
    }

    /// Prefill calls this after every layer of a tile and sleeps here while questions run; returns when it may run the
    /// next layer.
    pub(crate) fn give_way(&self) {
        let since = Instant::now();
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let held = state.queue.holds_prefill(now);
            let Some(wait) = state.prefill.wait(since, now, held) else { return };
            state = self.quiet.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    // Nothing that can panic half-way changes the state under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
