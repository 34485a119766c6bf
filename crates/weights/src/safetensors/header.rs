//! The JSON header of one safetensors file, checked against the file: every tensor's bytes follow the one before it,
//! from the end of the header to the end of the file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::json::{self, UniqueMap};
use super::limits;
use crate::map::MappedFile;
use crate::reader::Reader;
use crate::table::{self, Entry, StoredType, Table};
use crate::{DType, Error, Result};

/// The one key of the header that is not a tensor.
const METADATA: &str = "__metadata__";

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    Tensor(TensorInfo),
    /// Free text about the file, checked for its form alone.
    Metadata(#[expect(dead_code)] BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorInfo {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Reads the directory of `file`, which is number `file_idx` of the model.
pub(super) fn read(file: &MappedFile, file_idx: usize) -> Result<Table> {
    let path = file.path();
    let mut reader = Reader::new(path, file.bytes());
    let header_len = reader.count("length of the header", limits::HEADER_BYTES)?;
    let header = reader.take(header_len, "header")?;
    let data_start = reader.offset();
    let UniqueMap(header) = json::parse::<UniqueMap<HeaderValue>>(path, header)?;
    if header.len() as u64 > limits::TENSORS {
        let (what, got, limit) = ("number of tensors", header.len() as u64, limits::TENSORS);
        return Err(Error::TooLarge { path: path.to_owned(), what, got, limit });
    }

    let mut table = Table::new();
    for (name, value) in header {
        match value {
            HeaderValue::Metadata(_) if name == METADATA => {}
            HeaderValue::Tensor(info) if name != METADATA => {
                let entry = entry(file, file_idx, data_start, &name, info)?;
                table.insert(name, entry);
            }
            _ => return Err(reader.invalid(8, "header", "tensors and text metadata", format!("`{name}`"))),
        }
    }
    contiguous(file, data_start, &table)?;
    Ok(table)
}

fn entry(file: &MappedFile, file_idx: usize, data_start: u64, name: &str, info: TensorInfo) -> Result<Entry> {
    let path = file.path();
    let TensorInfo { dtype, shape, data_offsets: [start, end] } = info;
    if shape.len() as u64 > limits::DIMS {
        let (what, got) = ("number of dimensions", shape.len() as u64);
        return Err(Error::TooLarge { path: path.to_owned(), what, got, limit: limits::DIMS });
    }
    let dtype = stored_type(&dtype).ok_or_else(|| Error::UnsupportedType {
        path: path.to_owned(),
        tensor: name.to_owned(),
        dtype,
    })?;
    let expected = match dtype {
        StoredType::Known(dtype) => table::byte_len(path, name, dtype, &shape)?,
        StoredType::Other { bytes, .. } => {
            table::elements(path, name, &shape)?.checked_mul(bytes).ok_or_else(|| Error::SizeOverflow {
                path: path.to_owned(),
                tensor: name.to_owned(),
                shape: shape.clone(),
            })?
        }
    };
    let (start, end) = (start.saturating_add(data_start), end.saturating_add(data_start));
    let len = file.stamp().size;
    if end > len || end.checked_sub(start) != Some(expected) {
        let (path, tensor) = (path.to_owned(), name.to_owned());
        return Err(Error::Extent { path, tensor, start, end, expected, len });
    }
    Ok(Entry { dtype, shape, file: file_idx, range: start..end, scales: None })
}

/// No tensor shares bytes with another, and none are left over.
fn contiguous(file: &MappedFile, data_start: u64, table: &Table) -> Result<()> {
    let path = file.path();
    let mut listed: Vec<_> = table.iter().collect();
    listed.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let (mut end, mut before) = (data_start, "");
    for (name, entry) in listed {
        let start = entry.range.start;
        if start < end {
            let (first, second) = (before.to_owned(), name.clone());
            return Err(Error::Overlap { path: path.to_owned(), first, second, offset: start });
        }
        if start > end {
            return Err(Error::Unclaimed { path: path.to_owned(), start: end, end: start });
        }
        (end, before) = (entry.range.end, name);
    }
    if file.stamp().size > end {
        return Err(Error::Unclaimed { path: path.to_owned(), start: end, end: file.stamp().size });
    }
    Ok(())
}

fn stored_type(name: &str) -> Option<StoredType> {
    let other = |name, bytes| Some(StoredType::Other { name, bytes });
    match name {
        "F32" => Some(StoredType::Known(DType::F32)),
        "F16" => Some(StoredType::Known(DType::F16)),
        "BF16" => Some(StoredType::Known(DType::BF16)),
        "U8" => Some(StoredType::Known(DType::U8)),
        "I32" => Some(StoredType::Known(DType::I32)),
        "I64" => Some(StoredType::Known(DType::I64)),
        "BOOL" => other("BOOL", 1),
        "I8" => other("I8", 1),
        "F8_E4M3" => other("F8_E4M3", 1),
        "F8_E5M2" => other("F8_E5M2", 1),
        "I16" => other("I16", 2),
        "U16" => other("U16", 2),
        "U32" => other("U32", 4),
        "F64" => other("F64", 8),
        "U64" => other("U64", 8),
        _ => None,
    }
}
