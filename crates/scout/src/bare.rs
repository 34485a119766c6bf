//! A checkpoint without tokenizer, header or template: logits of given tokens.

use crate::{
    Arithmetic, Batch, Numerics, Result,
    engine::{load_run, read_config},
    forward::{Model, Reached, Run},
    sequence::Sequence,
};
use compute::{Int8, Isa, Rows};
use kv::{Dtype, PageShape};
use std::{path::Path, sync::Arc};

pub struct Bare {
    run: Arc<dyn Run>,
    shape: PageShape,
}

impl Bare {
    pub fn open(path: &Path, arithmetic: impl Into<Arithmetic>) -> Result<Self> {
        let arithmetic = arithmetic.into();
        let file = Arc::new(weights::Model::open(path)?);
        let config = read_config(&file, arithmetic)?;
        let shape = PageShape { n_kv_heads: config.n_kv_heads, head_dim: config.head_dim };
        Ok(Self { run: load_run(&file, &config, arithmetic)?, shape })
    }

    /// On the fast path with a given instruction set and KV type: the bits do not depend on the first.
    pub fn open_fast_on(path: &Path, isa: Isa, kv_dtype: Dtype) -> Result<Self> {
        let file = Arc::new(weights::Model::open(path)?);
        let config = read_config(&file, Numerics::Fast.into())?;
        let shape = PageShape { n_kv_heads: config.n_kv_heads, head_dim: config.head_dim };
        let run = Model::load(&file, &config, Int8::with_isa(isa), Some(kv_dtype), u64::MAX)?;
        Ok(Self { run: Arc::new(run), shape })
    }

    /// A sequence that sees nothing.
    pub fn sequence(&self) -> Sequence {
        Sequence::new(self.run.reaches(), self.shape, self.run.kv_dtype())
    }

    /// Runs all batches as one: `[asked rows in batch order, vocab]`. What is written can be taken back until
    /// [`Sequence::close_chunks`].
    pub fn forward(&self, batches: &mut [Batch<'_>]) -> Result<Rows> {
        self.run.forward(batches, &mut |_| Ok(()))
    }

    /// The same, telling when each layer has ended.
    pub fn forward_by_layer(&self, batches: &mut [Batch<'_>], ended: &mut dyn FnMut()) -> Result<Rows> {
        self.run.forward(batches, &mut |reached| {
            if reached == Reached::Layer {
                ended();
            }
            Ok(())
        })
    }

    /// Logits of `ids` behind `sequence`, `[ids.len(), vocab]`.
    pub fn extend(&self, sequence: &mut Sequence, ids: &[u32]) -> Result<Rows> {
        self.forward(&mut [Batch { sequence, ids, logits: 0..ids.len(), mass: None, cancel: None }])
    }

    /// Logits of every token from nothing, `[ids.len(), vocab]`.
    pub fn logits(&self, ids: &[u32]) -> Result<Rows> {
        self.extend(&mut self.sequence(), ids)
    }
}

/// Logits of every token, `[n_tokens, vocab]`, from a bare checkpoint.
pub fn logits_of(path: &Path, arithmetic: impl Into<Arithmetic>, ids: &[u32]) -> Result<Rows> {
    Bare::open(path, arithmetic)?.logits(ids)
}

/// The same on the fast path with a given instruction set and KV type.
pub fn fast_logits_on(path: &Path, isa: Isa, kv_dtype: Dtype, ids: &[u32]) -> Result<Rows> {
    Bare::open_fast_on(path, isa, kv_dtype)?.logits(ids)
}
