//! The layer plan: per layer, how it rotates, how far it sees and what follows attention. Computed once from the config;
//! nothing else in the engine asks which layer it is in.

use crate::config::{ModelConfig, Temperature};
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
    /// Unweighted RMSNorm over each head of queries and keys.
    pub qk_norm: bool,
    /// Factor on queries that grows with their position.
    pub temperature: Option<Temperature>,
    /// Whether tokens are routed to experts; otherwise one dense network takes all.
    pub experts: bool,
}

/// `[n_layers]`; the `llama` family rotates and sees everything in every layer.
pub fn layer_plan(config: &ModelConfig) -> Vec<LayerPlan> {
    let pairing = if config.interleaved_pairs { Pairing::Interleaved } else { Pairing::Half };
    let everywhere = LayerPlan {
        rope: Some(pairing),
        reach: Reach::Everything,
        qk_norm: false,
        temperature: None,
        experts: false,
    };
    let Some(llama4) = &config.llama4 else { return vec![everywhere; config.n_layers] };
    let layer = |l: usize| LayerPlan {
        rope: llama4.rope[l].then_some(pairing),
        reach: match llama4.chunk.filter(|_| llama4.chunked[l]) {
            Some(chunk) => Reach::Chunk(chunk),
            None => Reach::Everything,
        },
        qk_norm: llama4.qk_norm && llama4.rope[l],
        temperature: llama4.temperature.filter(|_| !llama4.rope[l]),
        experts: llama4.experts.layers[l],
    };
    (0..config.n_layers).map(layer).collect()
}
