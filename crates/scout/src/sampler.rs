//! From logits to the next token: greedy, or temperature and top-p from a seed.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// `temperature` 0 is greedy. `top_p` in (0, 1]: the smallest set of tokens whose probability reaches it
/// (Holtzman et al., arXiv 1904.09751).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sampling {
    pub temperature: f32,
    pub top_p: f32,
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

/// Draws are a function of the seed and the logits alone (ChaCha8), so that an answer can be replayed.
pub struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl Sampler {
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, rng: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// The id of the next token. Ties go to the lowest id.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        if self.sampling.temperature <= 0.0 {
            return greedy(logits);
        }
        let mut candidates: Vec<(u32, f64)> = softmax(logits, self.sampling.temperature);
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut kept = 0.0;
        let cut = candidates.iter().position(|c| {
            kept += c.1;
            kept >= f64::from(self.sampling.top_p)
        });
        candidates.truncate(cut.map_or(candidates.len(), |i| i + 1));
        let total: f64 = candidates.iter().map(|c| c.1).sum();
        // 53 random bits make a uniform double in [0, 1).
        let mut left = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        for &(id, p) in &candidates {
            left -= p;
            if left < 0.0 {
                return id;
            }
        }
        candidates.last().map_or(0, |c| c.0)
    }
}

/// Index of the largest logit, the lowest on ties.
pub fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, value) in logits.iter().enumerate() {
        if *value > logits[best] {
            best = id;
        }
    }
    best as u32
}

/// [`greedy`] of at least two logits, and by how much it leads, nats.
pub fn first_and_lead(logits: &[f32]) -> (u32, f32) {
    let first = greedy(logits);
    let others = logits.iter().enumerate().filter(|(id, _)| *id != first as usize);
    let second = others.map(|(_, &logit)| logit).fold(f32::NEG_INFINITY, f32::max);
    (first, logits[first as usize] - second)
}

/// log softmax(logits)[id], summed in f64.
pub fn log_prob(logits: &[f32], id: u32) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| f64::from(x - max).exp()).sum();
    f64::from(logits[id as usize] - max) - sum.ln()
}

fn softmax(logits: &[f32], temperature: f32) -> Vec<(u32, f64)> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = logits.iter().map(|&x| f64::from((x - max) / temperature).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().enumerate().map(|(id, e)| (id as u32, e / sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_lowest_id_of_equals() {
        assert_eq!(greedy(&[0.0, 2.0, 2.0, 1.0]), 1);
    }

    #[test]
    fn the_lead_is_over_the_second_choice() {
        assert_eq!(first_and_lead(&[0.5, 3.0, -1.0, 2.0]), (1, 1.0));
        assert_eq!(first_and_lead(&[2.0, 2.0]), (0, 0.0));
    }

    #[test]
    fn the_seed_decides_the_draw() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed| -> Vec<u32> {
            let mut sampler = Sampler::new(Sampling { temperature: 1.0, top_p: 0.95, seed });
            (0..20).map(|_| sampler.next(&logits)).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn top_p_keeps_only_the_head() {
        let mut sampler = Sampler::new(Sampling { temperature: 1.0, top_p: 0.5, seed: 1 });
        for _ in 0..100 {
            assert_eq!(sampler.next(&[5.0, 0.0, 0.0]), 0);
        }
    }

    #[test]
    fn log_prob_of_equal_logits_is_minus_ln_n() {
        assert!((log_prob(&[1.0; 8], 3) + 8f64.ln()).abs() < 1e-12);
    }
}
