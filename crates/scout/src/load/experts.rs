//! Routed experts, packed when a token first needs them: nearly all weights of such a model are experts, and a token
//! passes one of many. Those that are kept share a budget; the others go when nobody uses them any more.

use super::{
    Checkpoint, Network,
    kept::Kept,
    names::{Stacked, gate_up_down},
};
use crate::{Error, Result, config::ModelConfig};
use compute::Ops;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use weights::Model;

/// All experts of a model, `[n_layers][n_experts]`.
pub struct ExpertStore<O: Ops> {
    file: Arc<Model>,
    config: ModelConfig,
    /// `[n_layers * n_experts]`: the expert while anybody has it. Locked while it is packed, so that those who want it
    /// too wait for it, and nobody else does.
    slots: Vec<Mutex<Weak<Network<O>>>>,
    kept: Mutex<Kept<Arc<Network<O>>>>,
}

impl<O: Ops> ExpertStore<O> {
    /// `budget`: bytes of packed experts kept.
    pub(super) fn new(file: &Arc<Model>, config: &ModelConfig, budget: u64) -> Self {
        let n_experts = config.llama4.as_ref().map_or(0, |llama4| llama4.experts.n_experts);
        let n = config.n_layers * n_experts;
        Self {
            file: file.clone(),
            config: config.clone(),
            slots: (0..n).map(|_| Mutex::default()).collect(),
            kept: Mutex::new(Kept::new(n, budget)),
        }
    }

    /// Experts that each token is routed to.
    pub fn active(&self) -> usize {
        self.config.llama4.as_ref().map_or(0, |llama4| llama4.experts.active)
    }

    /// Expert `expert` of layer `l`.
    ///
    /// Errors: what is wrong with its tensors, found when it is first needed.
    pub fn get(&self, ops: &O, l: usize, expert: usize) -> Result<Arc<Network<O>>> {
        let experts = Experts::of(&self.file, &self.config)?;
        let at = l * experts.n + expert;
        let mut slot = self.slots[at].lock().unwrap_or_else(PoisonError::into_inner);
        let network = match slot.upgrade() {
            Some(network) => network,
            None => {
                let network = Arc::new(experts.pack(ops, l, expert)?);
                *slot = Arc::downgrade(&network);
                network
            }
        };
        drop(slot);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = kept.used(at, network.bytes(ops), || network.clone());
        drop(kept);
        drop(replaced);
        Ok(network)
    }

    /// That every layer has its experts, in their shapes, before a token needs them.
    pub(super) fn check(&self) -> Result<()> {
        let Some(llama4) = &self.config.llama4 else { return Ok(()) };
        let experts = Experts::of(&self.file, &self.config)?;
        (0..self.config.n_layers).filter(|&l| llama4.experts.layers[l]).try_for_each(|l| experts.check(l))
    }
}

/// The experts of a checkpoint: where their tensors are, and of what shape.
struct Experts<'a> {
    checkpoint: Checkpoint<'a>,
    n: usize,
    hidden: usize,
}

impl<'a> Experts<'a> {
    fn of(model: &'a Model, config: &'a ModelConfig) -> Result<Self> {
        let checkpoint = Checkpoint::new(model, config);
        let Some(llama4) = &config.llama4 else { return Err(checkpoint.missing("experts")) };
        Ok(Self { checkpoint, n: llama4.experts.n_experts, hidden: llama4.experts.hidden_dim })
    }

    /// How the experts of layer `l` are stacked; `None`: each has tensors of its own.
    fn stacked(&self, l: usize) -> Result<Option<Stacked>> {
        for stacked in self.checkpoint.names.experts {
            if self.checkpoint.has(stacked.names()[0], l)? {
                return Ok(Some(*stacked));
            }
        }
        Ok(None)
    }

    /// Gate, up and down of one expert that has tensors of its own.
    fn own_names(&self, expert: usize) -> [String; 3] {
        self.checkpoint.names.expert.map(|name| name.replace("{e}", &expert.to_string()))
    }

    fn pack<O: Ops>(&self, ops: &O, l: usize, expert: usize) -> Result<Network<O>> {
        let Some(stacked) = self.stacked(l)? else {
            let [gate, up, down] = self.own_names(expert);
            return self.checkpoint.network(ops, [&gate, &up, &down], l, self.hidden);
        };
        let mut matrices = Vec::new();
        for (name, shape) in stacked.tensors(self.n, self.hidden, self.checkpoint.config.dim) {
            matrices.push(self.checkpoint.tensor(name, l, &shape)?.matrix(expert as u64)?);
        }
        let owned;
        if stacked.is_transposed() {
            owned = matrices.iter().map(|m| m.transposed()).collect::<std::result::Result<Vec<_>, _>>()?;
            matrices = owned.iter().map(|m| m.view()).collect();
        }
        let gate_up: Vec<_> = matrices[..matrices.len() - 1].iter().collect();
        Network::pack(ops, &gate_up, &matrices[matrices.len() - 1])
    }

    fn check(&self, l: usize) -> Result<()> {
        let dim = self.checkpoint.config.dim;
        if let Some(stacked) = self.stacked(l)? {
            let tensors = stacked.tensors(self.n, self.hidden, dim);
            return tensors
                .iter()
                .try_for_each(|(name, shape)| self.checkpoint.tensor(name, l, shape).map(drop));
        }
        for expert in 0..self.n {
            for (name, shape) in self.own_names(expert).iter().zip(gate_up_down(self.hidden, dim)) {
                self.checkpoint.tensor(name, l, &shape)?;
            }
        }
        Ok(())
    }
}

impl Checkpoint<'_> {
    fn missing(&self, field: &str) -> Error {
        Error::MissingField { model: self.model_name(), field: field.to_owned() }
    }
}
