//! Routing of tokens to experts, and the norm of single heads: f32 in one written order, the same under all numerics.
//!
//! A router is a few rows; rounding it to 8 bits would save nothing and send tokens to other experts.

use crate::Rows;

/// A token's row and the router's score for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routed {
    pub row: usize,
    /// `sigmoid` of the router's logit, what the expert's input is multiplied with.
    pub score: f32,
}

/// Sends every row of `x` `[n_rows, dim]` to its `active` experts of largest logit, the lower index where two are
/// equal: `[n_experts]`, rows ascending. `router` is `[n_experts, dim]`, its input the RMSNorm of `x`.
pub fn route(x: &Rows, norm: &[f32], eps: f32, router: &Rows, active: usize) -> Vec<Vec<Routed>> {
    assert_eq!((x.width(), x.width()), (norm.len(), router.width()), "router input width");
    let mut experts = vec![Vec::new(); router.n_rows()];
    let (mut normed, mut logits) = (vec![0.0; x.width()], vec![0.0; router.n_rows()]);
    for row in 0..x.n_rows() {
        let factor = norm_factor(x.row(row), eps);
        for ((y, &x), &w) in normed.iter_mut().zip(x.row(row)).zip(norm) {
            *y = w * (x * factor);
        }
        logits.iter_mut().enumerate().for_each(|(e, logit)| *logit = dot(&normed, router.row(e)));
        for _ in 0..active.min(logits.len()) {
            let best = (1..logits.len()).fold(0, |best, e| if logits[e] > logits[best] { e } else { best });
            experts[best].push(Routed { row, score: 1.0 / (1.0 + (-logits[best]).exp()) });
            logits[best] = f32::NEG_INFINITY;
        }
    }
    experts
}

/// Unweighted RMSNorm of every head of `x`: `y = x / sqrt(mean(x²) + eps)` over `head_dim` values.
pub fn norm_heads(x: &mut [f32], head_dim: usize, eps: f32) {
    for head in x.chunks_exact_mut(head_dim) {
        let factor = norm_factor(head, eps);
        head.iter_mut().for_each(|x| *x *= factor);
    }
}

fn norm_factor(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

/// Dot product in 32 interleaved sums, so that the compiler vectorises it and rounding errors stay small.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 32];
    let (a, b) = (a.chunks_exact(32), b.chunks_exact(32));
    let tail: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a.zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_the_experts_of_largest_logit_and_ties_to_the_lower_one() {
        let x = Rows::from_vec(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2);
        let router = Rows::from_vec(vec![2.0, 0.0, 0.0, 2.0, 0.0, 2.0], 2);
        let routed = route(&x, &[1.0, 1.0], 0.0, &router, 1);
        let rows = |e: usize| routed[e].iter().map(|r| r.row).collect::<Vec<_>>();
        assert_eq!((rows(0), rows(1), rows(2)), (vec![0, 2], vec![1], vec![]));
        let logit = 2.0 * 2.0f32.sqrt();
        assert!((routed[0][0].score - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
        let both = route(&x, &[1.0, 1.0], 0.0, &router, 2);
        assert_eq!(both.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3, 1], "each row twice");
    }

    #[test]
    fn heads_are_normed_one_by_one() {
        let mut x = [3.0, 4.0, 0.0, 2.0];
        norm_heads(&mut x, 2, 0.0);
        let root = 12.5f32.sqrt();
        for (got, expected) in x.iter().zip([3.0 / root, 4.0 / root, 0.0, 2.0f32.sqrt()]) {
            assert!((got - expected).abs() < 1e-6);
        }
    }
}
