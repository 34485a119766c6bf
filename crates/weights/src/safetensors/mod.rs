//! Safetensors: one file, or a folder with `config.json` and one file or several with an index.
//!
//! A file is 8 bytes of header length, a JSON header (name → type, shape, byte range), and the tensors' bytes without
//! gaps. Format: the `safetensors` repository's README. Packed int4 weights ([`packed`]) are folded into one tensor each.

mod header;
mod json;
mod packed;
mod packed_config;
mod shards;
mod writer;

pub(crate) use shards::INDEX;
pub use writer::{SafetensorsWriter, TensorSpec};

use std::path::Path;

use crate::map::MappedFile;
use crate::table::Table;
use crate::{Error, Result};

/// Limits of the reader, each named in the error that it causes.
pub(crate) mod limits {
    /// Bytes of the JSON header; the format's own limit.
    pub const HEADER_BYTES: u64 = 100_000_000;
    /// Tensors of a file.
    pub const TENSORS: u64 = 1 << 20;
    /// Dimensions of a tensor.
    pub const DIMS: u64 = 8;
    /// Files of a model.
    pub const SHARDS: u64 = 4096;
}

/// Whether the bytes begin like a safetensors file: a length, then a JSON object.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// The directory of a model that is one file.
pub(crate) fn read_file(file: &MappedFile) -> Result<Table> {
    let table = header::read(file, 0)?;
    packed::fold(table, std::slice::from_ref(file), None)
}

/// Maps the files of a folder and merges their directories.
pub(crate) fn read_folder(folder: &Path) -> Result<(Vec<MappedFile>, Table)> {
    let config = crate::model::read_folder_file(folder, "config.json")?.ok_or_else(|| Error::NotAModel {
        path: folder.to_owned(),
        reason: "the folder has no config.json".into(),
    })?;
    let config: serde_json::Value = serde_json::from_slice(&config)
        .map_err(|source| Error::Json { path: folder.join("config.json"), source })?;
    let (files, table) = shards::read(folder)?;
    let table = packed::fold(table, &files, Some((&folder.join("config.json"), &config)))?;
    Ok((files, table))
}

#[cfg(test)]
mod tests;
