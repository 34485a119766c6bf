//! The checksum of every region of a segment file: BLAKE3 cut to 128 bits.
//!
//! It finds damage, not forgery: whoever can write the file can write its checksums too.

use std::fmt;

pub(crate) const CHECKSUM_BYTES: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub(crate) [u8; CHECKSUM_BYTES]);

impl Checksum {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut cut = [0; CHECKSUM_BYTES];
        cut.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM_BYTES]);
        Self(cut)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
