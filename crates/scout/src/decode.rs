//! Decode: read the question behind the composed pages, then one token per step for all sequences together.
//! `scheduler` runs the steps of all questions.

use crate::{Engine, Result, StreamMass, scheduler::Question, sequence::Sequence};
use compute::Rows;
use std::ops::Range;

/// The owner of the command line's questions.
pub(crate) const LOCAL: &str = "local";

/// Why a sequence stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model wrote one of its stop tokens.
    Stop,
    /// The token budget was used up.
    Length,
}

/// One sequence's share of a step.
pub struct Step<'a> {
    pub sequence: &'a mut Sequence,
    pub ids: &'a [u32],
    /// Rows of `ids` whose logits are wanted.
    pub logits: Range<usize>,
    /// Rows of `ids` and layers whose attention mass is wanted.
    pub mass: Option<(Range<usize>, Range<usize>)>,
}

/// What a step gives back.
pub struct Decoding {
    /// `[asked rows in step order, vocab]`
    pub logits: Rows,
    /// Per step `[n_blocks * 64]`, empty when not asked: mean softmax weight over rows, heads and layers.
    pub mass: Vec<Vec<f32>>,
    /// Per step the mass on its sequence's stream, mean over rows and heads, summed over layers.
    pub stream_mass: Vec<StreamMass>,
}

impl Engine {
    /// A running question of `owner`, between whom the passes are shared out.
    pub fn question(&self, owner: &str) -> Question<'_> {
        Question::new(self, owner)
    }

    /// Runs all steps, for callers without a question: one of [`LOCAL`] that lasts as long as the call.
    pub fn step(&self, steps: &mut [Step<'_>]) -> Result<Decoding> {
        self.question(LOCAL).step(steps)
    }
}
