//! Inverse frequencies of RoPE (Su et al., arXiv 2104.09864) and Llama 3.1's scaling of them.

use crate::config::{ModelConfig, RopeScaling};
use std::f64::consts::TAU;

/// Radians per position for each pair, `[head_dim / 2]`: `theta^(-2i / head_dim)`, scaled.
pub fn inverse_frequencies(config: &ModelConfig) -> Vec<f64> {
    let half = config.head_dim / 2;
    (0..half)
        .map(|i| {
            let base = config.rope_theta.powf(-2.0 * i as f64 / config.head_dim as f64);
            match &config.rope_scaling {
                RopeScaling::None => base,
                RopeScaling::Divisors(divisors) => base / f64::from(divisors.get(i).copied().unwrap_or(1.0)),
                &RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_pos } => {
                    let wavelength = TAU / base;
                    if wavelength < original_max_pos / high_freq_factor {
                        base
                    } else if wavelength > original_max_pos / low_freq_factor {
                        base / factor
                    } else {
                        let smooth = (original_max_pos / wavelength - low_freq_factor)
                            / (high_freq_factor - low_freq_factor);
                        (1.0 - smooth) * base / factor + smooth * base
                    }
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scout_like() -> ModelConfig {
        ModelConfig {
            name: "test".into(),
            n_layers: 1,
            dim: 128,
            hidden_dim: 1,
            n_heads: 1,
            n_kv_heads: 1,
            head_dim: 128,
            vocab: 1,
            window: 1,
            rms_eps: 1e-5,
            rope_theta: 500_000.0,
            rope_scaling: RopeScaling::Llama3 {
                factor: 16.0,
                low_freq_factor: 1.0,
                high_freq_factor: 1.0,
                original_max_pos: 8192.0,
            },
            interleaved_pairs: true,
            tied_embeddings: true,
            llama4: None,
        }
    }

    #[test]
    fn llama3_scaling_gives_the_published_scout_frequencies() {
        let f = inverse_frequencies(&scout_like());
        for (i, expected) in [(0, 1.0), (34, 9.38473870e-4), (35, 4.77810618e-5), (63, 1.53446300e-7)] {
            assert!((f[i] / expected - 1.0).abs() < 1e-7, "f[{i}] = {}", f[i]);
        }
    }
}
