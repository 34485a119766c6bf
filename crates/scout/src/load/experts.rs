//! Routed experts, packed when a token first needs them and dropped again when they outgrow their budget: nearly all
//! weights of such a model are experts, and a token passes one of many.

use super::{Checkpoint, Network, names::Stacked};
use crate::{Error, Result, config::ModelConfig};
use compute::Ops;
use std::sync::{Arc, Mutex, PoisonError};
use weights::Model;

/// All experts of a model, `[n_layers][n_experts]`.
pub struct ExpertStore<O: Ops> {
    file: Arc<Model>,
    config: ModelConfig,
    /// Bytes of packed experts kept.
    budget: u64,
    kept: Mutex<Kept<O>>,
}

/// Packed experts, those used last at the end.
struct Kept<O: Ops> {
    experts: Vec<(usize, usize, Arc<Network<O>>)>,
    bytes: u64,
}

impl<O: Ops> ExpertStore<O> {
    pub(super) fn new(file: &Arc<Model>, config: &ModelConfig, budget: u64) -> Self {
        let kept = Mutex::new(Kept { experts: Vec::new(), bytes: 0 });
        Self { file: file.clone(), config: config.clone(), budget, kept }
    }

    /// Experts that each token is routed to.
    pub fn active(&self) -> usize {
        self.config.llama4.as_ref().map_or(0, |llama4| llama4.experts.active)
    }

    /// Expert `expert` of layer `l`.
    ///
    /// Errors: what is wrong with its tensors, found when it is first needed.
    pub fn get(&self, ops: &O, l: usize, expert: usize) -> Result<Arc<Network<O>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.experts.iter().rposition(|(of, e, _)| (*of, *e) == (l, expert)) {
            let found = kept.experts.remove(at);
            kept.experts.push(found);
            return Ok(kept.experts[kept.experts.len() - 1].2.clone());
        }
        let network = Arc::new(self.pack(ops, l, expert)?);
        kept.bytes += network.bytes(ops);
        kept.experts.push((l, expert, network.clone()));
        while kept.bytes > self.budget && kept.experts.len() > 1 {
            let (_, _, dropped) = kept.experts.remove(0);
            kept.bytes -= dropped.bytes(ops);
        }
        Ok(network)
    }

    fn pack(&self, ops: &O, l: usize, expert: usize) -> Result<Network<O>> {
        let checkpoint = Checkpoint::new(&self.file, &self.config);
        let Some(llama4) = &self.config.llama4 else { return Err(checkpoint.missing("experts")) };
        let (n, hidden, dim) = (llama4.experts.n_experts, llama4.experts.hidden_dim, self.config.dim);
        let e = expert as u64;
        for stacked in checkpoint.names.experts {
            match *stacked {
                Stacked::Rows([gate, up, down]) if checkpoint.has(gate, l)? => {
                    let gate = checkpoint.tensor(gate, l, &[n, hidden, dim])?.matrix(e)?;
                    let up = checkpoint.tensor(up, l, &[n, hidden, dim])?.matrix(e)?;
                    let down = checkpoint.tensor(down, l, &[n, dim, hidden])?.matrix(e)?;
                    return Network::pack(ops, &[&gate, &up], &down);
                }
                Stacked::Fused { gate_up, down } if checkpoint.has(gate_up, l)? => {
                    let gate_up = checkpoint.tensor(gate_up, l, &[n, 2 * hidden, dim])?.matrix(e)?;
                    let down = checkpoint.tensor(down, l, &[n, dim, hidden])?.matrix(e)?;
                    return Network::pack(ops, &[&gate_up], &down);
                }
                Stacked::Transposed { gate_up, down } if checkpoint.has(gate_up, l)? => {
                    let gate_up = checkpoint.tensor(gate_up, l, &[n, dim, 2 * hidden])?.matrix(e)?;
                    let down = checkpoint.tensor(down, l, &[n, hidden, dim])?.matrix(e)?;
                    let (gate_up, down) = (gate_up.transposed()?, down.transposed()?);
                    return Network::pack(ops, &[&gate_up.view()], &down.view());
                }
                _ => {}
            }
        }
        let names = checkpoint.names.expert.map(|name| name.replace("{e}", &expert.to_string()));
        checkpoint.network(ops, [&names[0], &names[1], &names[2]], l, hidden)
    }

    /// That every layer has its experts, in their shapes, before a token needs them.
    pub(super) fn check(&self) -> Result<()> {
        let checkpoint = Checkpoint::new(&self.file, &self.config);
        let Some(llama4) = &self.config.llama4 else { return Ok(()) };
        let (n, hidden, dim) = (llama4.experts.n_experts, llama4.experts.hidden_dim, self.config.dim);
        for l in (0..self.config.n_layers).filter(|&l| llama4.experts.layers[l]) {
            let mut found = false;
            for stacked in checkpoint.names.experts {
                let (first, shapes): (&str, Vec<(&str, [usize; 3])>) = match *stacked {
                    Stacked::Rows([gate, up, down]) => (
                        gate,
                        vec![(gate, [n, hidden, dim]), (up, [n, hidden, dim]), (down, [n, dim, hidden])],
                    ),
                    Stacked::Fused { gate_up, down } => {
                        (gate_up, vec![(gate_up, [n, 2 * hidden, dim]), (down, [n, dim, hidden])])
                    }
                    Stacked::Transposed { gate_up, down } => {
                        (gate_up, vec![(gate_up, [n, dim, 2 * hidden]), (down, [n, hidden, dim])])
                    }
                };
                if !found && checkpoint.has(first, l)? {
                    shapes
                        .iter()
                        .try_for_each(|(name, shape)| checkpoint.tensor(name, l, shape).map(drop))?;
                    found = true;
                }
            }
            for expert in 0..if found { 0 } else { n } {
                let [gate, up, down] =
                    checkpoint.names.expert.map(|name| name.replace("{e}", &expert.to_string()));
                checkpoint.tensor(&gate, l, &[hidden, dim])?;
                checkpoint.tensor(&up, l, &[hidden, dim])?;
                checkpoint.tensor(&down, l, &[dim, hidden])?;
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
