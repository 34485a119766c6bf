//! `Question`: a running question as its caller holds it, and the flag that cancels it.

use super::QuestionId;
use crate::{
    Engine, Error, Result,
    decode::{Decoding, Step},
    forward,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Cancels the questions it was given to, from any thread and for good.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An active question. While it lives and keeps stepping, prefill gives way, and passes wait a moment for its next
/// token; it may also be left idle, and then holds nobody up.
pub struct Question<'a> {
    engine: &'a Engine,
    id: QuestionId,
    cancel: Cancel,
}

impl<'a> Question<'a> {
    pub(crate) fn new(engine: &'a Engine, owner: &str) -> Self {
        Self { engine, id: engine.scheduler().register(owner), cancel: Cancel::default() }
    }

    /// The same question, ended by `cancel`.
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// Runs all steps, together with those of other questions. Several threads may step one question at once.
    ///
    /// Errors: [`Error::Cancelled`] at the latest when the running pass ends; a token or a length that the model does
    /// not take. After an error, every sequence is as it was. Must not be called from the rayon pool of another caller.
    pub fn step(&self, steps: &mut [Step<'_>]) -> Result<Decoding> {
        let config = self.engine.config();
        for step in steps.iter() {
            forward::check(config, step.sequence, step.ids)?;
        }
        self.engine.scheduler().step(self.engine.run(), self.id, &self.cancel, steps, config.vocab)
    }

    /// For work between two steps: [`Error::Cancelled`] once the question is.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.engine.scheduler().unregister(self.id);
    }
}
