//! What an instruction set could do at best: independent dot products and multiply-adds on registers, without loads, and
//! loads with next to no arithmetic. The yardsticks of products and attention.

use std::hint::black_box;

use super::{EXACT_DOTS, Isa, Kernel, LANES, Lanes};

/// Operations of one dot product of 64 codes.
const DOT_OPS: u64 = 128;

pub(super) struct DotPeak {
    pub(super) rounds: usize,
}

impl DotPeak {
    /// `N` independent chains of dot products: enough to hide their latency, and all in registers. Codes differ between
    /// chains and activations between steps, lest the compiler computes a product once for all.
    #[inline(always)]
    fn chains<L: Lanes, const N: usize>(self, l: L) -> u64 {
        let mut codes = [l.load_bytes(&black_box([3; 64])); N];
        for (chain, codes) in codes.iter_mut().enumerate() {
            *codes = l.load_bytes(&black_box([chain as u8; 64]));
        }
        let (mut dots, mut total) = ([l.zero_dots(); N], l.splat(0.0));
        for _ in 0..self.rounds {
            for step in 0..EXACT_DOTS {
                let acts = black_box(step as i32);
                for chain in 0..N {
                    dots[chain] = l.dot::<true>(dots[chain], codes[chain], acts);
                }
            }
            if L::SHORT_DOTS {
                for dots in &mut dots {
                    total = l.add(total, l.dots_to_f32::<true>(*dots));
                    *dots = l.zero_dots();
                }
            }
        }
        for dots in dots {
            total = l.add(total, l.dots_to_f32::<true>(dots));
        }
        black_box(l.sum(total));
        (self.rounds * N * EXACT_DOTS) as u64 * DOT_OPS
    }
}

impl Kernel for DotPeak {
    type Out = u64;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> u64 {
        if L::WIDE { self.chains::<L, 12>(l) } else { self.chains::<L, 3>(l) }
    }
}

impl Isa {
    /// Runs `n` rounds of nothing but f32 multiply-adds in registers. Gives the operations done (a multiplication and an
    /// addition are two).
    pub fn spin_fmas(self, n: usize) -> u64 {
        self.run(FmaPeak { rounds: n })
    }

    /// Reads all `values` once, adding them up: the yardstick of how fast they arrive. What is left of a multiple of 64
    /// is not read.
    pub fn sum(self, values: &[f32]) -> f32 {
        self.run(Sum { values })
    }
}

struct FmaPeak {
    rounds: usize,
}

impl FmaPeak {
    #[inline(always)]
    fn chains<L: Lanes, const N: usize>(self, l: L) -> u64 {
        let (scale, shift) = (l.splat(black_box(0.5)), l.splat(black_box(1.0)));
        let mut values = [shift; N];
        for _ in 0..self.rounds {
            for value in &mut values {
                *value = l.fma(*value, scale, shift);
            }
        }
        for value in values {
            black_box(l.largest(value));
        }
        (self.rounds * N * LANES) as u64 * 2
    }
}

impl Kernel for FmaPeak {
    type Out = u64;

    /// As many chains as hide the latency and stay in registers.
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> u64 {
        if L::WIDE { self.chains::<L, 12>(l) } else { self.chains::<L, 5>(l) }
    }
}

struct Sum<'a> {
    values: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Out = f32;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> f32 {
        let mut sums = [l.splat(0.0); 4];
        let (lanes, _) = self.values.as_chunks::<LANES>();
        let (blocks, _) = lanes.as_chunks::<4>();
        for block in blocks {
            for (sum, values) in sums.iter_mut().zip(block) {
                *sum = l.add(*sum, l.load(values));
            }
        }
        sums.into_iter().map(|sum| l.sum(sum)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yardsticks_do_what_they_count() {
        for isa in Isa::available() {
            let dots = isa.spin_dots(10);
            assert!(dots == 10 * 12 * 8 * DOT_OPS || dots == 10 * 3 * 8 * DOT_OPS, "{dots}");
            let done = isa.spin_fmas(10);
            assert!(done == 10 * 12 * 32 || done == 10 * 5 * 32, "{done}");
            let values: Vec<f32> = (0..200).map(|i| i as f32).collect();
            assert_eq!(isa.sum(&values), (0..192).sum::<i32>() as f32, "{}", isa.name());
        }
    }
}
