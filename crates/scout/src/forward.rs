//! The forward pass. `Run::forward` is the architecture: embed, then per layer attention and feed-forward, then the
//! rows whose logits were asked for.

use crate::{
    Error, Result,
    config::ModelConfig,
    load::{FeedForward, Network, Weights},
    plan::{self, LayerPlan, Reach},
    related::Centred,
    rope,
    scheduler::Cancel,
    sequence::Sequence,
    stream::StreamMass,
};
use compute::{AttendGroup, AttendSpec, Ops, RopeTable, Rows, norm_heads, route};
use kv::{Dtype, PAGE_TOKENS};
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

/// Attention mass asked of one sequence's rows: mean softmax weight over `rows` × heads, summed over `layers`.
pub struct Mass {
    /// Rows of the sequence's own stretch of the batch, from 0.
    pub rows: Range<usize>,
    /// Layers that take part.
    pub layers: Range<usize>,
    /// `[n_blocks * 64]`, one value per slot of the sequence's blocks; filled by the pass.
    pub values: Vec<f32>,
    /// Likewise of the sequence's stream, if it has one.
    pub stream: StreamMass,
}

impl Mass {
    pub fn new(rows: Range<usize>, layers: Range<usize>) -> Self {
        Self { rows, layers, values: Vec::new(), stream: StreamMass::new() }
    }
}

/// One sequence's share of a batch: `ids` follow what the sequence already holds.
pub struct Batch<'a> {
    pub sequence: &'a mut Sequence,
    pub ids: &'a [u32],
    /// Rows of `ids` whose logits are wanted (usually the last one alone).
    pub logits: Range<usize>,
    pub mass: Option<Mass>,
    /// Once it says so, nobody wants the rows: what the pass gives for them has no meaning.
    pub cancel: Option<Cancel>,
}

/// The model as the engine sees it, whatever the numerics.
pub trait Run: Send + Sync {
    /// Runs all batches as one and returns their logits, `[asked rows in batch order, vocab]`.
    /// `gate` is asked after every layer, before every expert and after every stretch of a stream's pages.
    fn forward(&self, batches: &mut [Batch<'_>], gate: &mut Gate<'_>) -> Result<Rows>;
    /// Cosines between the centred embeddings of `ids` and of every token, `[ids.len(), vocab]`.
    fn embedding_cosines(&self, ids: &[u32]) -> Result<Rows>;
    fn numerics(&self) -> &'static str;
    fn kv_dtype(&self) -> Dtype;
    /// `[n_layers]`
    fn reaches(&self) -> Arc<[Reach]>;
}

/// Whether a pass may go on; an error ends it.
pub type Gate<'a> = dyn FnMut(Reached) -> Result<()> + 'a;

/// Where a pass asks its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// A layer has ended: other work may go ahead here.
    Layer,
    /// Somewhere within a layer, so that a walk over millions of tokens, and the packing of experts, can be stopped.
    Within,
}

/// The tokens of a pass, row by row.
struct Tokens {
    ids: Vec<u32>,
    pos: Vec<u64>,
    /// Counted from where the token's sequence begins with its own: what attention chunks are counted in.
    own_pos: Vec<u64>,
}

/// What the layers of a pass use one after the other: memory that is new costs as much as some products.
struct Buffers<O: Ops> {
    /// Inputs of products, `[tokens, dim]` or what attention gave, and of a network's second one, `[tokens, hidden]`.
    acts: O::Acts,
    hidden: O::Acts,
    qkv: Rows,
    q: Rows,
    k: Rows,
    /// What attention gives, `[tokens, heads · head_dim]`.
    mixed: Rows,
    gate_up: Rows,
}

impl<O: Ops> Default for Buffers<O> {
    fn default() -> Self {
        let [qkv, q, k, mixed, gate_up] = <[Rows; 5]>::default();
        Self { acts: O::Acts::default(), hidden: O::Acts::default(), qkv, q, k, mixed, gate_up }
    }
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
    /// to it. `expert_bytes`: routed experts kept in memory.
    pub fn load(
        file: &Arc<weights::Model>,
        config: &ModelConfig,
        ops: O,
        kv_dtype: Option<Dtype>,
        expert_bytes: u64,
    ) -> Result<Self> {
        let kv_dtype = kv_dtype.unwrap_or_else(|| ops.kv_dtype());
        let weights = Weights::open(file, config, expert_bytes)?;
        let plan = plan::layer_plan(config);
        Ok(Self {
            ops,
            rope: rope_table(config, &plan),
            plan,
            config: config.clone(),
            weights,
            kv_dtype,
            centred: OnceLock::new(),
        })
    }

    /// x += Wo · attend(norm(x)), appending this batch's K and V to the sequences first.
    fn attention(
        &self,
        l: usize,
        x: &mut Rows,
        buffers: &mut Buffers<O>,
        tokens: &Tokens,
        batches: &mut [Batch<'_>],
        gate: &mut Gate<'_>,
    ) -> Result<()> {
        let (c, layer, plan) = (&self.config, self.weights.layer(&self.ops, l)?, &self.plan[l]);
        let (q_dim, kv_dim) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        let Buffers { acts, qkv, q, k, mixed, .. } = buffers;

        self.ops.norm(x, &layer.attention_norm, c.rms_eps, acts);
        self.ops.matmul(acts, &layer.wqkv, qkv);

        if plan.qk_norm {
            // Rotation keeps the length of a head: the norm may go before it.
            for row in 0..qkv.n_rows() {
                norm_heads(&mut qkv.row_mut(row)[..q_dim + kv_dim], c.head_dim, c.rms_eps);
            }
        }
        q.copy_columns(qkv, 0..q_dim);
        k.copy_columns(qkv, q_dim..q_dim + kv_dim);
        let pos = if plan.reach.chunk().is_some() { &tokens.own_pos } else { &tokens.pos };
        if let Some(pairing) = plan.rope {
            self.ops.rope(k, c.head_dim, &self.rope, pairing, pos);
        }
        let mut first = 0;
        for batch in batches.iter_mut().filter(|batch| !batch.ids.is_empty()) {
            let rows = first..first + batch.ids.len();
            first = rows.end;
            batch.sequence.write(l, tokens.pos[rows.start], rows, k, (qkv, q_dim + kv_dim))?;
        }
        if let Some(temperature) = plan.temperature {
            for (row, &pos) in tokens.pos.iter().enumerate() {
                let factor = temperature.factor(pos);
                q.row_mut(row).iter_mut().for_each(|q| *q *= factor);
            }
        }

        self.attend(l, q, pos, batches, mixed, gate)?;
        self.ops.activations(mixed, acts);
        self.ops.matmul_add(acts, &layer.wo, x);
        Ok(())
    }

    fn attend(
        &self,
        l: usize,
        q: &Rows,
        pos: &[u64],
        batches: &mut [Batch<'_>],
        mixed: &mut Rows,
        gate: &mut Gate<'_>,
    ) -> Result<()> {
        let (c, plan) = (&self.config, &self.plan[l]);
        let everything = plan.reach == Reach::Everything;
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
        let mut groups = Vec::with_capacity(batches.len());
        let mut first = 0;
        for ((batch, blocks), values) in batches.iter().zip(&blocks).zip(&mut masses) {
            let rows = first..first + batch.ids.len();
            first = rows.end;
            if everything && batch.sequence.streamed().is_some() {
                continue;
            }
            let asked = batch.mass.as_ref().filter(|mass| everything && mass.layers.contains(&l));
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
        if everything { self.walk(l, &spec, q, batches, mixed, gate) } else { Ok(()) }
    }

    /// Which of the layers that see everything `l` is.
    pub(crate) fn kept(&self, l: usize) -> usize {
        self.plan[..l].iter().filter(|layer| layer.reach == Reach::Everything).count()
    }

    /// x += FFN(norm(x)): one dense network, or the shared expert and those each token is routed to.
    fn feed_forward(
        &self,
        l: usize,
        x: &mut Rows,
        buffers: &mut Buffers<O>,
        gate: &mut Gate<'_>,
    ) -> Result<()> {
        let layer = self.weights.layer(&self.ops, l)?;
        self.ops.norm(x, &layer.ffn_norm, self.config.rms_eps, &mut buffers.acts);
        let (router, shared) = match &layer.feed_forward {
            FeedForward::Dense(network) => {
                self.hidden(network, buffers, None);
                self.ops.matmul_add(&buffers.hidden, &network.w_down, x);
                return Ok(());
            }
            FeedForward::Routed { router, shared } => (router, shared),
        };
        let input = x.clone();
        self.hidden(shared, buffers, None);
        self.ops.matmul_add(&buffers.hidden, &shared.w_down, x);
        let routed =
            route(&input, &layer.ffn_norm, self.config.rms_eps, router, self.weights.experts.active());
        // Tokens are grouped by expert: an expert's weights are read once for all of them.
        for (expert, tokens) in routed.iter().enumerate().filter(|(_, tokens)| !tokens.is_empty()) {
            gate(Reached::Within)?;
            let network = self.weights.experts.get(&self.ops, l, expert)?;
            let mut own = Rows::zeros(tokens.len(), self.config.dim);
            for (at, token) in tokens.iter().enumerate() {
                own.row_mut(at).copy_from_slice(input.row(token.row));
            }
            self.ops.norm(&own, &layer.ffn_norm, self.config.rms_eps, &mut buffers.acts);
            let scores: Vec<f32> = tokens.iter().map(|token| token.score).collect();
            self.hidden(&network, buffers, Some(&scores));
            self.ops.matmul(&buffers.hidden, &network.w_down, &mut own);
            for (at, token) in tokens.iter().enumerate() {
                x.row_mut(token.row).iter_mut().zip(own.row(at)).for_each(|(x, y)| *x += y);
            }
        }
        Ok(())
    }

    /// hidden = silu(s · Wgate · acts) * (s · Wup · acts): a score multiplies the network's input, and gate and up are
    /// linear, so that it may be applied to their outputs.
    fn hidden(&self, network: &Network<O>, buffers: &mut Buffers<O>, scores: Option<&[f32]>) {
        let Buffers { acts, gate_up, hidden, .. } = buffers;
        self.ops.matmul(acts, &network.w_gate_up, gate_up);
        for (row, score) in scores.into_iter().flatten().enumerate() {
            gate_up.row_mut(row).iter_mut().for_each(|x| *x *= score);
        }
        self.ops.swiglu(gate_up, hidden);
    }

    fn logits(&self, x: &Rows, batches: &[Batch<'_>]) -> Result<Rows> {
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
            self.ops.norm(&last, self.weights.norm()?, self.config.rms_eps, &mut acts);
            self.ops.matmul(&acts, self.weights.head(&self.ops)?, &mut logits);
        }
        Ok(logits)
    }

    /// Checks ids and room of all batches, then grows the sequences: a refused pass leaves every one as it was.
    fn admit(&self, batches: &mut [Batch<'_>]) -> Result<Tokens> {
        for batch in batches.iter() {
            check(&self.config, batch.sequence, batch.ids)?;
        }
        let mut tokens = Tokens { ids: Vec::new(), pos: Vec::new(), own_pos: Vec::new() };
        for batch in batches {
            let first = batch.sequence.grow(batch.ids.len());
            tokens.ids.extend_from_slice(batch.ids);
            let pos = first..first + batch.ids.len() as u64;
            tokens.pos.extend(pos.clone());
            tokens.own_pos.extend(pos.map(|pos| batch.sequence.own_pos(pos)));
            if let Some(mass) = &mut batch.mass {
                mass.values = vec![0.0; batch.sequence.n_blocks() * PAGE_TOKENS];
            }
        }
        Ok(tokens)
    }
}

/// Angles of all positions that rotate; where all that do are counted inside attention chunks, those of one chunk.
fn rope_table(config: &ModelConfig, plan: &[LayerPlan]) -> RopeTable {
    let frequencies = rope::inverse_frequencies(config);
    let rotating = || plan.iter().filter(|layer| layer.rope.is_some());
    match rotating().next().and_then(|layer| layer.reach.chunk()) {
        Some(chunk) if rotating().all(|layer| layer.reach == Reach::Chunk(chunk)) => {
            RopeTable::periodic(&frequencies, chunk as usize)
        }
        _ if rotating().next().is_none() => RopeTable::new(&frequencies, 1),
        _ => RopeTable::new(&frequencies, config.window as usize),
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
    fn forward(&self, batches: &mut [Batch<'_>], gate: &mut Gate<'_>) -> Result<Rows> {
        let tokens = self.admit(batches)?;
        let mut x = Rows::zeros(tokens.ids.len(), self.config.dim);
        self.ops.embed(self.weights.embedding(&self.ops)?, &tokens.ids, &mut x);
        let mut buffers = Buffers::default();
        for l in 0..self.config.n_layers {
            self.attention(l, &mut x, &mut buffers, &tokens, batches, gate)?;
            self.feed_forward(l, &mut x, &mut buffers, gate)?;
            gate(Reached::Layer)?;
        }
        self.logits(&x, batches)
    }

    fn embedding_cosines(&self, ids: &[u32]) -> Result<Rows> {
        Self::embedding_cosines(self, ids)
    }

    fn numerics(&self) -> &'static str {
        self.ops.numerics()
    }

    fn kv_dtype(&self) -> Dtype {
        self.kv_dtype
    }

    fn reaches(&self) -> Arc<[Reach]> {
        self.plan.iter().map(|layer| layer.reach).collect()
    }
}
