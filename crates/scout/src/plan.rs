//! The layer plan: per layer, how it rotates and how far it sees. Computed once from the config; nothing else in the
//! engine asks which layer it is in.

use crate::config::ModelConfig;
use compute::Pairing;

/// Which earlier keys a query may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Keys of the query's own attention chunk of this many positions.
    Chunk(u64),
    Everything,
}

impl Reach {
    pub fn chunk(self) -> Option<u64> {
        match self {
            Self::Chunk(len) => Some(len),
            Self::Everything => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerPlan {
    /// `None`: keys carry no position (NoPE).
    pub rope: Option<Pairing>,
    pub reach: Reach,
}

/// `[n_layers]`; the `llama` family rotates and sees everything in every layer.
pub fn layer_plan(config: &ModelConfig) -> Vec<LayerPlan> {
    let pairing = if config.interleaved_pairs { Pairing::Interleaved } else { Pairing::Half };
    vec![LayerPlan { rope: Some(pairing), reach: Reach::Everything }; config.n_layers]
}
