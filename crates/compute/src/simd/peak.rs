//! The int8 peak of an instruction set: independent dot products on registers, no loads.

use std::hint::black_box;

use super::{Kernel, Lanes};

/// Independent chains; enough to hide the latency of a dot product.
const CHAINS: usize = 12;

/// Operations of one dot product of 64 codes.
const DOT_OPS: u64 = 128;

pub(super) struct DotPeak {
    pub(super) rounds: usize,
}

impl Kernel for DotPeak {
    type Out = u64;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> u64 {
        let codes = l.load_bytes(&black_box([3; 64]));
        let mut sums = [l.zero_i32(); CHAINS];
        let acts = black_box(0x0102_0304);
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = l.dot::<true>(*sum, codes, acts);
            }
        }
        for sum in sums {
            black_box(l.largest(l.to_f32(sum)));
        }
        self.rounds as u64 * CHAINS as u64 * DOT_OPS
    }
}
