//! `Question`: a running question as its caller holds it, and the flag that cancels it.

use super::QuestionId;
use crate::{
    Engine, Error, Result,
    decode::{Decoding, Step},
    forward,
    sequence::Sequence,
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

    /// Errors: [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
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

    /// A new sequence that sees the header alone. The first one of an engine reads the header, as a step of this
    /// question.
    pub fn sequence(&self) -> Result<Sequence> {
        self.engine.sequence_reading(&mut |sequence, ids| {
            self.step(&mut [Step { sequence, ids, logits: 0..0, mass: None }]).map(drop)
        })
    }

    /// Runs all steps, together with those of other questions. Several threads may step one question at once.
    ///
    /// Errors: [`Error::Cancelled`] within a fraction of a second of being cancelled, whatever runs, and the sequences
    /// may be spent ([`Sequence::is_spent`]); a token or a length that the model does not take, and every sequence is as
    /// it was. Must not be called from the global rayon pool: the passes run there.
    pub fn step(&self, steps: &mut [Step<'_>]) -> Result<Decoding> {
        let config = self.engine.config();
        for step in steps.iter() {
            forward::check(config, step.sequence, step.ids)?;
        }
        self.engine.scheduler().step(self.id, &self.cancel, steps, config.vocab)
    }

    /// For work between two steps: [`Error::Cancelled`] once the question is.
    pub fn check_cancelled(&self) -> Result<()> {
        self.cancel.check()
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.engine.scheduler().unregister(self.id);
    }
}
