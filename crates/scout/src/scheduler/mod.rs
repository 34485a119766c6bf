//! The scheduler: the steps of all running questions share forward passes, and prefill gives way to them.
//!
//! A caller of [`Scheduler::step`] moves its sequences into the queue and waits. One thread fills passes from the queue,
//! runs them and hands the results out. A token's logits do not depend on the batch it runs in, so merging changes no
//! answer.
//!
//! Passes have a thread of their own for the sake of cancelling: one over millions of stored tokens takes minutes and
//! serves many questions. Who is cancelled leaves at once, and the pass goes on for the others: were it run by a caller,
//! or stopped and run again, everybody would pay for one who changed their mind. The rows of the one who left run along
//! until the pass ends, but for their walk over stored context; a pass that everybody left is stopped. The pass keeps the sequences of those
//! who left, for it is writing to them: a copy of every tail at every step would be the price of giving them back, and a
//! cancelled question is never asked on.
//!
//! They run inside a thread pool of their own. A pass shares out work some two hundred times: from outside a pool its thread
//! would hand each of them over and sleep until it is woken. And were the pool anybody else's, a thread that waits for a
//! part of other work (the packing of weights, say, behind a lock that the pass needs too) might take up a pass meanwhile.
//!
//! - `call`: one caller's steps, cut into tiles; - `queue`: whose tiles go into the next pass; - `pass`: runs them, and
//!   keeps one caller's failure from the others; - `priority`: when prefill may run; - `question`: the callers' side.

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
use rayon::ThreadPoolBuilder;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

/// The longest that a pass waits for questions that are about to come back with their next token.
const GATHER: Duration = Duration::from_millis(2);
/// How often a waiting caller looks whether it is cancelled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Owns the thread of the passes, which ends with it.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    passes: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A pass ended: calls may be finished.
    passed: Condvar,
    /// A call was queued, a question ended, or all is to end: the passes' thread looks again.
    arrived: Condvar,
    /// A question ended: prefill looks again.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// Until their callers wake up and take them.
    finished: BTreeMap<CallId, (Call, Outcome)>,
    /// Calls in the running pass that nobody waits for.
    left: BTreeSet<CallId>,
    /// No more passes are run.
    ended: bool,
    prefill: priority::Share,
}

impl Scheduler {
    /// Errors: [`Error::Thread`].
    pub(crate) fn start(run: Arc<dyn Run>) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let pool = ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .thread_name(|thread| format!("pass-{thread}"))
            .build();
        let pool = pool.map_err(|error| Error::Thread { source: std::io::Error::other(error) })?;
        let passes = Builder::new().name("passes".into()).spawn({
            let shared = shared.clone();
            move || pool.install(|| shared.run_passes(&*run))
        });
        let passes = passes.map_err(|source| Error::Thread { source })?;
        Ok(Self { shared, passes: Some(passes) })
    }

    pub(crate) fn register(&self, owner: &str) -> QuestionId {
        self.shared.state().queue.register(owner, Instant::now())
    }

    pub(crate) fn unregister(&self, question: QuestionId) {
        self.shared.state().queue.unregister(question);
        self.shared.arrived.notify_all();
        self.shared.quiet.notify_all();
    }

    /// Runs all of `steps`, in as many passes as it takes. A panic in the forward pass goes on in the thread whose steps
    /// caused it.
    ///
    /// Errors: [`Error::Cancelled`] soon after `cancel` says so, whatever runs; the sequences may be spent then
    /// ([`crate::Sequence::is_spent`]). On any other error every sequence is as it was before.
    pub(crate) fn step(
        &self,
        question: QuestionId,
        cancel: &Cancel,
        steps: &mut [Step<'_>],
        vocab: usize,
    ) -> Result<Decoding> {
        cancel.check()?;
        let mut call = Call::take(question, cancel, steps, vocab);
        let mut outcome = Ok(());
        if !call.is_done() {
            (call, outcome) = self.shared.wait(call).ok_or(Error::Cancelled)?;
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

    /// Prefill calls this after every layer of a tile and sleeps here while questions run; returns when it may run the
    /// next layer.
    pub(crate) fn give_way(&self) {
        let since = Instant::now();
        let mut state = self.shared.state();
        loop {
            let now = Instant::now();
            let held = state.queue.holds_prefill(now);
            let Some(wait) = state.prefill.wait(since, now, held) else { return };
            state = self.shared.quiet.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.end();
        if let Some(passes) = self.passes.take() {
            // It panicked: whoever waited for it has been told.
            let _ = passes.join();
        }
    }
}

/// However the thread of the passes ends, nobody waits for it any longer.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Shared {
    fn end(&self) {
        self.state().ended = true;
        self.arrived.notify_all();
        self.passed.notify_all();
    }

    /// Queues the call and waits until it is finished. `None`: it was cancelled while a pass had it.
    fn wait(&self, call: Call) -> Option<(Call, Outcome)> {
        let (question, cancel) = (call.question, call.cancel.clone());
        let mut state = self.state();
        assert!(!state.ended, "the thread of the forward passes has ended");
        let id = state.queue.push(call);
        self.arrived.notify_all();
        loop {
            if let Some(finished) = state.finished.remove(&id) {
                state.queue.returned(question, Instant::now());
                return Some(finished);
            }
            assert!(!state.ended, "the thread of the forward passes has ended");
            if cancel.is_cancelled() {
                state.queue.returned(question, Instant::now());
                let waiting = state.queue.withdraw(id);
                if waiting.is_none() {
                    state.left.insert(id);
                }
                return waiting.map(|call| (call, Err(Failure::Error(Error::Cancelled))));
            }
            let woken = self.passed.wait_timeout(state, LOOK_AGAIN);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn run_passes(&self, run: &dyn Run) {
        let _ends = Ends(self);
        let mut state = self.state();
        while !state.ended {
            if state.queue.is_empty() {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self.pass(self.gather(state), run);
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
    fn pass<'a>(&'a self, mut state: MutexGuard<'a, State>, run: &dyn Run) -> MutexGuard<'a, State> {
        for (id, call) in state.queue.take_cancelled() {
            state.finished.insert(id, (call, Err(Failure::Error(Error::Cancelled))));
        }
        let mut calls = state.queue.take_pass();
        drop(state);
        let outcomes = pass::run(run, &mut calls);
        let mut state = self.state();
        let mut left = Vec::new();
        for ((id, call), outcome) in calls.into_iter().zip(outcomes) {
            if state.left.remove(&id) {
                left.push(call);
            } else if outcome.is_ok() && !call.is_done() {
                state.queue.put_back(id, call);
            } else {
                state.finished.insert(id, (call, outcome));
            }
        }
        if left.is_empty() {
            return state;
        }
        // Whole contexts may go with them: nobody is to wait for the lock meanwhile.
        drop(state);
        drop(left);
        self.state()
    }

    // Nothing that can panic half-way changes the state under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
