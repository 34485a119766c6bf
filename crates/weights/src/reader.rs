//! A bounded little-endian reader over the bytes of a file: every step is checked, every failure knows its offset.

use std::path::Path;

use crate::{Error, Result};

/// Reads forward through `bytes`; never allocates more than the bytes that are there.
pub(crate) struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    offset: u64,
}

impl<'a> Reader<'a> {
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self { path, bytes, offset: 0 }
    }

    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Absolute offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The next `len` bytes; `what` names them in the error.
    pub fn take(&mut self, len: u64, what: &'static str) -> Result<&'a [u8]> {
        let split = usize::try_from(len).ok().and_then(|n| self.bytes.split_at_checked(n));
        let Some((head, tail)) = split else { return Err(self.truncated(len, what)) };
        self.bytes = tail;
        self.offset += len;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let Some((head, tail)) = self.bytes.split_first_chunk::<N>() else {
            return Err(self.truncated(N as u64, what));
        };
        self.bytes = tail;
        self.offset += N as u64;
        Ok(*head)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub fn f32(&mut self, what: &'static str) -> Result<f32> {
        self.array(what).map(f32::from_le_bytes)
    }

    pub fn f64(&mut self, what: &'static str) -> Result<f64> {
        self.array(what).map(f64::from_le_bytes)
    }

    /// A `u64` that may not be past `limit`.
    pub fn count(&mut self, what: &'static str, limit: u64) -> Result<u64> {
        let got = self.u64(what)?;
        if got > limit {
            return Err(Error::TooLarge { path: self.path.to_owned(), what, got, limit });
        }
        Ok(got)
    }

    /// An error about the field that began at `offset`.
    pub fn invalid(
        &self,
        offset: u64,
        what: &'static str,
        expected: impl Into<String>,
        got: impl ToString,
    ) -> Error {
        Error::Invalid {
            path: self.path.to_owned(),
            offset,
            what,
            expected: expected.into(),
            got: got.to_string(),
        }
    }

    fn truncated(&self, needed: u64, what: &'static str) -> Error {
        Error::Truncated { path: self.path.to_owned(), what, offset: self.offset, needed, left: self.left() }
    }
}
