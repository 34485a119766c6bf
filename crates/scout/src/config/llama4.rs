//! What the `llama4` family has beyond `llama`: chunked layers, layers without rotation, query temperature, experts.
//! Facts and defaults: Hugging Face `Llama4TextConfig`; GGUF says nothing of most of them, llama.cpp fixes them by
//! architecture.

use super::{ModelConfig, RopeScaling, bad_field};
use crate::{Error, Result, rope};

/// Defaults of `Llama4TextConfig`, and what llama.cpp takes for every file of architecture `llama4`.
pub(super) const CHUNK: u64 = 8_192;
pub(super) const NO_ROPE_INTERVAL: usize = 4;
pub(super) const FLOOR_SCALE: f64 = 8_192.0;
pub(super) const ATTN_SCALE: f64 = 0.1;

/// Scout's RoPE scaling as released after 8 April 2025; its first upload said 8 and 4.
const SCOUT_SCALING: RopeScaling = RopeScaling::Llama3 {
    factor: 16.0,
    low_freq_factor: 1.0,
    high_freq_factor: 1.0,
    original_max_pos: 8_192.0,
};
/// Experts of Scout: the one model of the family whose positions are scaled.
const SCOUT_EXPERTS: usize = 16;

/// Queries of layers without rotation are multiplied by `1 + attn_scale · ln(floor((p + 1) / floor_scale) + 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    pub floor_scale: f64,
    pub attn_scale: f64,
}

impl Temperature {
    /// The factor of the query at position `pos`, from 0.
    pub fn factor(self, pos: u64) -> f32 {
        let steps = ((pos as f64 + 1.0) / self.floor_scale).floor();
        (steps.ln_1p() * self.attn_scale + 1.0) as f32
    }
}

/// Routed experts; every token passes a shared one besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    pub n_experts: usize,
    /// Experts that each token is routed to.
    pub active: usize,
    /// Hidden width of a routed expert and of the shared one.
    pub hidden_dim: usize,
    /// `[n_layers]`: layers that have experts; the others have one dense network of the config's `hidden_dim`.
    pub layers: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Llama4 {
    /// Attention chunk of the chunked layers in tokens; `None`: they see everything.
    pub chunk: Option<u64>,
    /// `[n_layers]`: layers that rotate queries and keys.
    pub rope: Vec<bool>,
    /// `[n_layers]`: layers that see their own chunk only.
    pub chunked: Vec<bool>,
    /// Unweighted RMSNorm over each head of Q and K, in layers that rotate.
    pub qk_norm: bool,
    /// Of the layers that do not rotate.
    pub temperature: Option<Temperature>,
    pub experts: Experts,
}

/// Every `interval`-th layer is without rotation.
pub(super) fn rope_by_interval(n_layers: usize, interval: usize) -> Vec<bool> {
    (1..=n_layers).map(|l| interval == 0 || !l.is_multiple_of(interval)).collect()
}

/// Every `step`-th layer has experts.
pub(super) fn experts_by_step(n_layers: usize, step: usize) -> Vec<bool> {
    (1..=n_layers).map(|l| step > 0 && l.is_multiple_of(step)).collect()
}

impl ModelConfig {
    pub(super) fn check_llama4(&self) -> Result<()> {
        let Some(llama4) = &self.llama4 else { return Ok(()) };
        let bad = |field: &str, expected: &str, got: &dyn ToString| {
            Err(bad_field(&self.name, field, expected, got.to_string()))
        };
        for (field, len) in [
            ("no_rope_layers", llama4.rope.len()),
            ("layer_types", llama4.chunked.len()),
            ("layers with experts", llama4.experts.layers.len()),
        ] {
            if len != self.n_layers {
                return bad(field, &format!("{} entries, one a layer", self.n_layers), &len);
            }
        }
        if let Some(chunk) = llama4.chunk.filter(|chunk| *chunk == 0 || *chunk > super::MAX_WINDOW) {
            return bad("attention_chunk_size", &format!("1 to {} tokens", super::MAX_WINDOW), &chunk);
        }
        let mixed = |l: usize| llama4.rope[l] && !llama4.chunked[l];
        if let (Some(_), true, Some(l)) =
            (llama4.chunk, llama4.chunked.contains(&true), (0..self.n_layers).find(|l| mixed(*l)))
        {
            let got = format!("full_attention in layer {l}, which rotates");
            return bad("layer_types", "chunked_attention in every layer that rotates, or in none", &got);
        }
        let experts = &llama4.experts;
        if experts.layers.contains(&true) {
            if experts.n_experts == 0 || experts.n_experts > 1 << 12 {
                return bad("experts", "1 to 4096", &experts.n_experts);
            }
            if experts.active == 0 || experts.active > experts.n_experts {
                return bad("experts per token", &format!("1 to {}", experts.n_experts), &experts.active);
            }
            if experts.hidden_dim == 0 || experts.hidden_dim > 1 << 22 {
                return bad("hidden width of an expert", &format!("1 to {}", 1 << 22), &experts.hidden_dim);
            }
        }
        if let Some(Temperature { floor_scale, attn_scale }) = llama4.temperature {
            if !(floor_scale.is_finite() && floor_scale >= 1.0) {
                return bad("floor_scale", "a finite number, 1 or more", &floor_scale);
            }
            if !(attn_scale.is_finite() && attn_scale >= 0.0) {
                return bad("attn_scale", "a finite number, 0 or more", &attn_scale);
            }
        }
        Ok(())
    }

    /// Scout's first files, and what was made from them, carry a RoPE scaling that the model was not trained with.
    ///
    /// Errors: [`Error::WrongRope`] for a model of Scout's shape whose frequencies are not Scout's.
    pub fn check_scout_rope(&self) -> Result<()> {
        let scout = self
            .llama4
            .as_ref()
            .is_some_and(|llama4| llama4.experts.n_experts == SCOUT_EXPERTS && llama4.rope.contains(&true));
        if !scout {
            return Ok(());
        }
        let scaling = match &self.rope_scaling {
            RopeScaling::Llama3 { original_max_pos, .. } => RopeScaling::Llama3 {
                original_max_pos: *original_max_pos,
                factor: 16.0,
                low_freq_factor: 1.0,
                high_freq_factor: 1.0,
            },
            _ => SCOUT_SCALING,
        };
        let expected = rope::inverse_frequencies(&Self { rope_scaling: scaling, ..self.clone() });
        let got = rope::inverse_frequencies(self);
        match expected.iter().zip(&got).position(|(a, b)| (a / b - 1.0).abs() > 1e-5) {
            None => Ok(()),
            Some(at) => Err(Error::WrongRope {
                model: self.name.clone(),
                frequency: at,
                expected: expected[at],
                got: got[at],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the model's facts: the step comes at the last token of a chunk.
    #[test]
    fn temperature_of_scout() {
        let scout = Temperature { floor_scale: FLOOR_SCALE, attn_scale: ATTN_SCALE };
        for (pos, expected) in [
            (0, 1.0),
            (8_190, 1.0),
            (8_191, 1.069_314_7),
            (16_382, 1.069_314_7),
            (16_383, 1.109_861_2),
            (131_071, 1.283_321_3),
            (1_048_575, 1.485_981_2),
            (10_485_759, 1.715_539_6),
        ] {
            assert!((scout.factor(pos) - expected).abs() < 2e-7, "{pos}: {}", scout.factor(pos));
        }
    }

    #[test]
    fn every_fourth_layer_and_every_second() {
        assert_eq!(rope_by_interval(5, 4), [true, true, true, false, true]);
        assert_eq!(experts_by_step(4, 2), [false, true, false, true]);
        assert_eq!(experts_by_step(3, 1), [true; 3]);
    }
}
