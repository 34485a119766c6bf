//! Which instruction set runs: chosen once, at run time.

use super::peak::DotPeak;
use super::scalar::Scalar;
use super::{Kernel, Lanes};

#[cfg(target_arch = "x86_64")]
use super::{avx2::Ymm, avx512vnni::Avx512Vnni};

/// An instruction set of this CPU. A value can be had only where the CPU has the instructions: holding it is the proof.
#[derive(Clone, Copy)]
pub struct Isa(Kind);

#[derive(Clone, Copy)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(Ymm<true>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Ymm<false>),
    Scalar(Scalar),
}

impl Isa {
    /// All instruction sets of this CPU that there is code for, fastest first; `scalar` is always the last.
    pub fn available() -> Vec<Isa> {
        #[cfg(target_arch = "x86_64")]
        let vector = [
            Avx512Vnni::detect().map(Kind::Avx512Vnni),
            Ymm::detect().map(Kind::AvxVnni),
            Ymm::detect().map(Kind::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let vector: [Option<Kind>; 0] = [];
        vector.into_iter().flatten().chain([Kind::Scalar(Scalar)]).map(Isa).collect()
    }

    /// The fastest one.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// `avx512vnni`, `avxvnni`, `avx2` or `scalar`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni(_) => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni(_) => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            Kind::Scalar(_) => "scalar",
        }
    }

    /// Runs `n` rounds of nothing but int8 dot products in registers: the yardstick of the product's speed.
    /// Gives the operations done (a multiplication and an addition are two).
    pub fn spin_dots(self, n: usize) -> u64 {
        self.run(DotPeak { rounds: n })
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Out {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni(lanes) => lanes.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni(lanes) => lanes.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(lanes) => lanes.run(kernel),
            Kind::Scalar(lanes) => lanes.run(kernel),
        }
    }
}

impl std::fmt::Debug for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
