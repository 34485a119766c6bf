//! Decode: read the question behind the composed pages, then one token per step for all sequences together.

use crate::{
    Engine, Result,
    forward::{Batch, Mass},
    sequence::Sequence,
};
use compute::Rows;
use std::ops::Range;

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
}

impl Engine {
    /// Runs all steps as one batch. Interactive: ahead of any prefill in the process.
    pub fn step(&self, steps: &mut [Step<'_>]) -> Result<Decoding> {
        let _interactive = self.gate().interactive();
        let mut batches: Vec<Batch<'_>> = steps
            .iter_mut()
            .map(|step| Batch {
                sequence: &mut *step.sequence,
                ids: step.ids,
                logits: step.logits.clone(),
                mass: step.mass.clone().map(|(rows, layers)| Mass { rows, layers, values: Vec::new() }),
            })
            .collect();
        let logits = self.run().forward(&mut batches, &mut || Ok(()))?;
        let mass = batches
            .into_iter()
            .map(|batch| {
                batch.mass.map_or_else(Vec::new, |mass| {
                    let layers = mass.layers.len().max(1) as f32;
                    mass.values.into_iter().map(|v| v / layers).collect()
                })
            })
            .collect();
        Ok(Decoding { logits, mass })
    }
}
