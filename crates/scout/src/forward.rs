//! The forward pass. `Run::forward` is the architecture: embed, then per layer attention and feed-forward, then the
//! rows whose logits were asked for.

use crate::{
    Error, Result,
    config::ModelConfig,
    load::{self, Weights},
    plan::{self, LayerPlan},
    related::Centred,
    rope,
    sequence::Sequence,
};
use compute::{AttendGroup, AttendSpec, Ops, RopeTable, Rows};
use kv::{Dtype, PAGE_TOKENS};
use std::{ops::Range, sync::OnceLock};

/// Attention mass asked of one sequence's rows: mean softmax weight over `rows` × heads, summed over `layers`.
pub struct Mass {
    /// Rows of the sequence's own stretch of the batch, from 0.
    pub rows: Range<usize>,
    /// Layers that take part.
    pub layers: Range<usize>,
    /// `[n_blocks * 64]`, one value per slot of the sequence's blocks; filled by the pass.
    pub values: Vec<f32>,
}

/// One sequence's share of a batch: `ids` follow what the sequence already holds.
pub struct Batch<'a> {
    pub sequence: &'a mut Sequence,
    pub ids: &'a [u32],
    /// Rows of `ids` whose logits are wanted (usually the last one alone).
    pub logits: Range<usize>,
    pub mass: Option<Mass>,
}

/// The model as the engine sees it, whatever the numerics.
pub trait Run: Send + Sync {
    /// Runs all batches as one and returns their logits, `[asked rows in batch order, vocab]`.
    /// `gate` is asked after every layer, so that interactive work goes ahead of prefill.
    fn forward(&self, batches: &mut [Batch<'_>], gate: &mut dyn FnMut() -> Result<()>) -> Result<Rows>;
    /// Cosines between the centred embeddings of `ids` and of every token, `[ids.len(), vocab]`.
    fn embedding_cosines(&self, ids: &[u32]) -> Rows;
    fn numerics(&self) -> &'static str;
    fn kv_dtype(&self) -> Dtype;
}

pub struct Model<O: Ops> {
    pub(crate) ops: O,
    pub(crate) config: ModelConfig,
    plan: Vec<LayerPlan>,
    pub(crate) weights: Weights<O>,
    rope: RopeTable,
    /// Made when related words are first asked for.
    pub(crate) centred: OnceLock<Centred>,
    kv_dtype: Dtype,
}

impl<O: Ops> Model<O> {
    /// `kv_dtype`: what the sequences' own pages hold, by default what `ops` prefers; `ops` must be able to attend
    /// to it.
    pub fn load(
        file: &weights::Model,
        config: &ModelConfig,
        ops: O,
        kv_dtype: Option<Dtype>,
    ) -> Result<Self> {
        let kv_dtype = kv_dtype.unwrap_or_else(|| ops.kv_dtype());
        let weights = load::load(file, config, &ops)?;
        let rope = RopeTable::new(&rope::inverse_frequencies(config), config.window as usize + PAGE_TOKENS);
        Ok(Self {
            ops,
            plan: plan::layer_plan(config),
            config: config.clone(),
            weights,
            rope,
            kv_dtype,
            centred: OnceLock::new(),
        })
    }

    /// x += Wo · attend(norm(x)), appending this batch's K and V to the sequences first.
    fn attention(&self, l: usize, x: &mut Rows, pos: &[u64], batches: &mut [Batch<'_>]) -> Result<()> {
        let (c, layer, plan) = (&self.config, &self.weights.layers[l], &self.plan[l]);
        let (q_dim, kv_dim) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        let n = x.n_rows();

        let mut acts = O::Acts::default();
        self.ops.norm(x, &layer.attention_norm, c.rms_eps, &mut acts);
        let mut qkv = Rows::zeros(n, q_dim + 2 * kv_dim);
        self.ops.matmul(&acts, &layer.wqkv, &mut qkv);

        let mut q = Rows::zeros(n, q_dim);
        let mut row = 0;
        for batch in batches.iter_mut() {
            for _ in batch.ids {
                let (own_q, kv) = qkv.row(row).split_at(q_dim);
                q.row_mut(row).copy_from_slice(own_q);
                batch.sequence.write(l, pos[row], &kv[..kv_dim], &kv[kv_dim..])?;
                row += 1;
            }
        }
        if let Some(pairing) = plan.rope {
            self.ops.rope(&mut q, c.head_dim, &self.rope, pairing, pos);
        }

        let mut mixed = Rows::zeros(n, q_dim);
        self.attend(l, &q, pos, batches, &mut mixed);
        self.ops.activations(&mixed, &mut acts);
        self.ops.matmul_add(&acts, &layer.wo, x);
        Ok(())
    }

    fn attend(&self, l: usize, q: &Rows, pos: &[u64], batches: &mut [Batch<'_>], mixed: &mut Rows) {
        let (c, plan) = (&self.config, &self.plan[l]);
        let spec = AttendSpec {
            n_heads: c.n_heads,
            n_kv_heads: c.n_kv_heads,
            head_dim: c.head_dim,
            scale: 1.0 / (c.head_dim as f32).sqrt(),
            rope: plan.rope.map(|pairing| (&self.rope, pairing)),
            chunk: plan.reach.chunk(),
            q_pos: pos,
        };
        let blocks: Vec<_> = batches.iter().map(|batch| batch.sequence.blocks(l)).collect();
        // The blocks borrow the sequences, the masses are written meanwhile: take them out for the call.
        let mut masses: Vec<_> = batches.iter().map(|b| b.mass.as_ref().map(|m| m.values.clone())).collect();
        let mut first = 0;
        let mut groups = Vec::with_capacity(batches.len());
        for ((batch, blocks), values) in batches.iter().zip(&blocks).zip(&mut masses) {
            let rows = first..first + batch.ids.len();
            first = rows.end;
            let asked = batch.mass.as_ref().filter(|mass| mass.layers.contains(&l));
            let mass_rows = asked.map_or(0..0, |m| rows.start + m.rows.start..rows.start + m.rows.end);
            let mass = if asked.is_some() { values.as_deref_mut() } else { None };
            groups.push(AttendGroup { rows, blocks, mass, mass_rows });
        }
        self.ops.attend(&spec, q, &mut groups, mixed);
        drop(groups);
        drop(blocks);
        for (batch, values) in batches.iter_mut().zip(masses) {
            if let (Some(mass), Some(values)) = (&mut batch.mass, values) {
                mass.values = values;
            }
        }
    }

    /// x += Wdown · (silu(Wgate · norm(x)) * (Wup · norm(x)))
    fn feed_forward(&self, l: usize, x: &mut Rows) {
        let layer = &self.weights.layers[l];
        let mut acts = O::Acts::default();
        self.ops.norm(x, &layer.ffn_norm, self.config.rms_eps, &mut acts);
        let mut gate_up = Rows::zeros(x.n_rows(), 2 * self.config.hidden_dim);
        self.ops.matmul(&acts, &layer.w_gate_up, &mut gate_up);
        self.ops.swiglu(&gate_up, &mut acts);
        self.ops.matmul_add(&acts, &layer.w_down, x);
    }

    fn logits(&self, x: &Rows, batches: &[Batch<'_>]) -> Rows {
        let asked: usize = batches.iter().map(|b| b.logits.len()).sum();
        let mut last = Rows::zeros(asked, self.config.dim);
        let (mut first, mut out) = (0, 0);
        for batch in batches {
            for row in batch.logits.clone() {
                last.row_mut(out).copy_from_slice(x.row(first + row));
                out += 1;
            }
            first += batch.ids.len();
        }
        let mut logits = Rows::zeros(asked, self.config.vocab);
        if asked > 0 {
            let mut acts = O::Acts::default();
            self.ops.norm(&last, &self.weights.norm, self.config.rms_eps, &mut acts);
            self.ops.matmul(
                &acts,
                self.weights.head.as_ref().unwrap_or(&self.weights.embedding),
                &mut logits,
            );
        }
        logits
    }

    /// Checks ids and room of all batches, then grows the sequences: a refused pass leaves every one as it was. Gives
    /// the ids and positions of all rows.
    fn admit(&self, batches: &mut [Batch<'_>]) -> Result<(Vec<u32>, Vec<u64>)> {
        for batch in batches.iter() {
            check(&self.config, batch.sequence, batch.ids)?;
        }
        let (mut ids, mut pos) = (Vec::new(), Vec::new());
        for batch in batches {
            let first = batch.sequence.grow(batch.ids.len());
            ids.extend_from_slice(batch.ids);
            pos.extend(first..first + batch.ids.len() as u64);
            if let Some(mass) = &mut batch.mass {
                mass.values = vec![0.0; batch.sequence.n_blocks() * PAGE_TOKENS];
            }
        }
        Ok((ids, pos))
    }
}

/// Whether the model takes `ids` behind what `sequence` holds.
pub(crate) fn check(config: &ModelConfig, sequence: &Sequence, ids: &[u32]) -> Result<()> {
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= config.vocab) {
        return Err(Error::TokenOutOfRange { id, vocab: config.vocab });
    }
    sequence.check_room(ids.len(), config.window)
}

impl<O: Ops> Run for Model<O> {
    fn forward(&self, batches: &mut [Batch<'_>], gate: &mut dyn FnMut() -> Result<()>) -> Result<Rows> {
        let (ids, pos) = self.admit(batches)?;
        let mut x = Rows::zeros(ids.len(), self.config.dim);
        self.ops.embed(&self.weights.embedding, &ids, &mut x);
        for l in 0..self.config.n_layers {
            self.attention(l, &mut x, &pos, batches)?;
            self.feed_forward(l, &mut x);
            gate()?;
        }
        Ok(self.logits(&x, batches))
    }

    fn embedding_cosines(&self, ids: &[u32]) -> Rows {
        Self::embedding_cosines(self, ids)
    }

    fn numerics(&self) -> &'static str {
        self.ops.numerics()
    }

    fn kv_dtype(&self) -> Dtype {
        self.kv_dtype
    }
}
