//! The only intrinsics of the crate: sixteen lanes of f32, exact int8 dot products, and the choice of instruction set.
//!
//! A [`Kernel`] is written once over [`Lanes`] and compiled for every instruction set. All of its f32 operations are
//! IEEE operations in a written order, all integer sums are exact, so every instruction set gives the same bits.
//! Kernels and all they call are `#[inline(always)]`: only then do they end up inside the function that enables
//! the instruction set.

#[cfg(target_arch = "x86_64")]
mod across;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod dispatch;
mod peak;
mod prefetch;
mod scalar;
mod scatter;

pub use dispatch::Isa;
pub(crate) use prefetch::{CACHE_LINE, prefetch};
pub(crate) use scatter::Scatter;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Dot products that sums may hold: as many as a group of 32 columns has. AVX2 adds pairs of products in 16 bits, each
/// of magnitude 2 · 15 · 127 at most, and eight of them are 30,480.
pub(crate) const EXACT_DOTS: usize = 8;

/// Code that runs on the lanes of one instruction set.
pub(crate) trait Kernel {
    /// What the kernel gives back.
    type Out;
    /// Must be `#[inline(always)]`.
    fn run<L: Lanes>(self, lanes: L) -> Self::Out;
}

/// Sixteen lanes of one instruction set. A value is proof that the CPU has the instructions.
pub(crate) trait Lanes: Copy {
    /// 16 f32.
    type F: Copy;
    /// What up to [`EXACT_DOTS`] dot products add up to in each of 16 lanes.
    type D: Copy;
    /// 64 bytes: four consecutive k of 16 matrix rows.
    type B: Copy;
    /// Sums of [`Lanes::dot_signed`] in each of 16 lanes.
    type S: Copy;
    /// Sums of [`Lanes::dot_weights`] in each of 16 lanes.
    type W: Copy;
    /// 64 signed bytes as [`Lanes::dot_signed`] takes them.
    type K: Copy;

    /// Whether there are registers for large accumulator blocks (32 of 512 bits).
    const WIDE: bool;
    /// Whether sums of dot products hold no more than [`EXACT_DOTS`] of them, and must then go over to f32.
    const SHORT_DOTS: bool;

    fn run<K: Kernel>(self, kernel: K) -> K::Out;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, from: &[f32; LANES]) -> Self::F;
    fn store(self, x: Self::F, to: &mut [f32; LANES]);
    /// f16 bits to f32, exact.
    fn load_f16(self, from: &[u16; LANES]) -> Self::F;
    /// i8 to f32, exact.
    fn load_i8(self, from: &[i8; LANES]) -> Self::F;
    /// Rounds to the nearest integer, ties to even; |x| ≤ 127.
    fn store_i8(self, x: Self::F, to: &mut [i8; LANES]);
    /// Rounds to the nearest integer, ties to even; 0 ≤ x ≤ 255.
    fn store_u8(self, x: Self::F, to: &mut [u8; LANES]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// Neither operand is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// Neither operand is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c − a · b`, rounded once.
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `2ⁿ` where `n` are the low bits of the float `n + 1.5 · 2²³`, −126 ≤ n ≤ 127.
    fn pow2(self, magic: Self::F) -> Self::F;

    fn load_bytes(self, from: &[u8; 64]) -> Self::B;
    fn store_bytes(self, x: Self::B, to: &mut [u8; 64]);
    /// Low nibbles and high nibbles.
    fn load_nibbles(self, from: &[u8; 64]) -> (Self::B, Self::B);
    fn zero_dots(self) -> Self::D;
    /// Adds to each lane the exact dot product of its four u8 codes with the four i8 codes packed in `acts` (none of
    /// them −128). `NIBBLE` promises codes below 16. Sums hold no more than [`EXACT_DOTS`] of them, all of one `NIBBLE`.
    fn dot<const NIBBLE: bool>(self, dots: Self::D, codes: Self::B, acts: i32) -> Self::D;
    /// Adds two sums that hold no more than [`EXACT_DOTS`] dot products together.
    fn add_dots(self, a: Self::D, b: Self::D) -> Self::D;
    /// The sums, each rounded once to f32.
    fn dots_to_f32<const NIBBLE: bool>(self, dots: Self::D) -> Self::F;

    /// 64 codes, none of them −128.
    fn load_signed(self, from: &[i8; 64]) -> Self::K;
    /// What sums of [`Lanes::dot_signed`] begin with: 0, or where one operand has no sign, what takes the bias of that off
    /// again. `sum` is the sum of all codes of the other operand.
    fn signed_start(self, sum: i32) -> Self::S;
    /// Adds to each lane the exact dot product of its four i8 codes with the four packed in `other`, none of them −128.
    fn dot_signed(self, sums: Self::S, codes: Self::K, other: i32) -> Self::S;
    /// The sums, each rounded once to f32.
    fn signed_to_f32(self, sums: Self::S) -> Self::F;
    fn load_codes(self, from: &[i8; 64]) -> Self::B;
    fn zero_weighted(self) -> Self::W;
    /// Adds to each lane the exact dot product of its four i8 codes with the four u8 codes packed in `weights`.
    fn dot_weights(self, sums: Self::W, codes: Self::B, weights: i32) -> Self::W;
    /// The sums, each rounded once to f32.
    fn weighted_to_f32(self, sums: Self::W) -> Self::F;

    /// Sum of the lanes by halves: lane i + lane i + 8, then i + 4, i + 2, i + 1.
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let mut a = [0.0f32; LANES];
        self.store(x, &mut a);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                a[i] += a[i + half];
            }
            half /= 2;
        }
        a[0]
    }

    /// Largest lane.
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        let mut a = [0.0f32; LANES];
        self.store(x, &mut a);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                a[i] = if a[i] > a[i + half] { a[i] } else { a[i + half] };
            }
            half /= 2;
        }
        a[0]
    }
}
