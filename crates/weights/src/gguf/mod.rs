//! GGUF, versions 2 and 3, little-endian: header, key/value metadata, tensor directory, padding, tensor data.
//!
//! The whole directory is checked when a file is opened: every tensor lies inside the file, none overlap, nothing is
//! left over. Format: ggml's `docs/gguf.md`.

mod header;
mod key_values;
mod tensors;

use crate::map::MappedFile;
use crate::reader::Reader;
use crate::table::Table;
use crate::{Metadata, Result};

/// Limits of the reader, each named in the error that it causes.
pub(crate) mod limits {
    /// Tensors of a file (the largest known models have a few thousand).
    pub const TENSORS: u64 = 1 << 20;
    /// Metadata keys of a file.
    pub const KEYS: u64 = 1 << 16;
    /// Bytes of a key or of a tensor's name.
    pub const NAME_BYTES: u64 = 65_535;
    /// Bytes of a string value (chat templates, tokens).
    pub const STRING_BYTES: u64 = 16 << 20;
    /// Elements of an array value (vocabularies and merges are below a million).
    pub const ARRAY_LEN: u64 = 8 << 20;
    /// Dimensions of a tensor.
    pub const DIMS: u32 = 4;
    /// `general.alignment`, bytes.
    pub const ALIGNMENT: u64 = 1 << 16;
}

/// Whether the bytes begin like a GGUF file.
pub(crate) fn is_gguf(bytes: &[u8]) -> bool {
    bytes.starts_with(header::MAGIC)
}

/// Reads everything but the tensors' data.
pub(crate) fn read(file: &MappedFile) -> Result<(Metadata, Table)> {
    let mut reader = Reader::new(file.path(), file.bytes());
    let header = header::read(&mut reader)?;
    let metadata = key_values::read(&mut reader, header.n_keys)?;
    let table = tensors::read(&mut reader, header.n_tensors, &metadata)?;
    Ok((metadata, table))
}

#[cfg(test)]
mod tests;
