//! GGUF's tensor directory: names, shapes, types and places, checked against the file and against each other.

use super::{key_values, limits};
use crate::reader::Reader;
use crate::table::{self, Entry, StoredType, Table};
use crate::{DType, Error, Metadata, Result};

const DEFAULT_ALIGNMENT: u64 = 32;

pub(super) fn read(reader: &mut Reader<'_>, n_tensors: u64, metadata: &Metadata) -> Result<Table> {
    let alignment = alignment(reader, metadata)?;
    if let Some(n) = metadata.u64("split.count")?.filter(|n| *n > 1) {
        return Err(Error::Unsupported {
            path: reader.path().to_owned(),
            what: "a split over several files".into(),
            got: format!("split.count = {n}"),
            supported: "one GGUF file; join the parts with `gguf-split --merge`",
        });
    }
    let mut listed = Vec::new();
    for _ in 0..n_tensors {
        listed.push(tensor(reader, alignment)?);
    }
    let file_len = reader.offset() + reader.left();
    let data_start = reader.offset().next_multiple_of(alignment);
    place(reader, &mut listed, data_start, file_len)?;
    no_stray_bytes(reader, &mut listed, data_start, alignment, file_len)?;

    let mut table = Table::new();
    for (name, entry) in listed {
        if table.insert(name.clone(), entry).is_some() {
            return Err(Error::Duplicate { path: reader.path().to_owned(), kind: "tensor", name });
        }
    }
    Ok(table)
}

fn alignment(reader: &Reader<'_>, metadata: &Metadata) -> Result<u64> {
    let alignment = metadata.u64("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > limits::ALIGNMENT {
        let expected = format!("a power of two, at most {}", limits::ALIGNMENT);
        return Err(reader.invalid(0, "general.alignment", expected, alignment));
    }
    Ok(alignment)
}

/// One line of the directory. The range still counts from the start of the tensor data.
fn tensor(reader: &mut Reader<'_>, alignment: u64) -> Result<(String, Entry)> {
    let name = key_values::string(reader, "name of a tensor", limits::NAME_BYTES)?.to_owned();
    let at = reader.offset();
    let n_dims = reader.u32("number of dimensions")?;
    if !(1..=limits::DIMS).contains(&n_dims) {
        return Err(reader.invalid(at, "number of dimensions", format!("1 to {}", limits::DIMS), n_dims));
    }
    let mut shape = Vec::new();
    for _ in 0..n_dims {
        let at = reader.offset();
        match reader.u64("dimension")? {
            0 => return Err(reader.invalid(at, "dimension", "1 or more", 0)),
            dim => shape.push(dim),
        }
    }
    // The file lists the fastest dimension first.
    shape.reverse();
    let type_id = reader.u32("type of a tensor")?;
    let dtype = dtype(type_id).ok_or_else(|| Error::UnsupportedType {
        path: reader.path().to_owned(),
        tensor: name.clone(),
        dtype: type_name(type_id),
    })?;
    let at = reader.offset();
    let start = reader.u64("offset of a tensor")?;
    if !start.is_multiple_of(alignment) {
        return Err(reader.invalid(at, "offset of a tensor", format!("a multiple of {alignment}"), start));
    }
    let bytes = table::byte_len(reader.path(), &name, dtype, &shape)?;
    let end = start.checked_add(bytes).ok_or_else(|| Error::SizeOverflow {
        path: reader.path().to_owned(),
        tensor: name.clone(),
        shape: shape.clone(),
    })?;
    Ok((name, Entry { dtype: StoredType::Known(dtype), shape, file: 0, range: start..end, scales: None }))
}

/// Makes ranges absolute and checks that they lie inside the file.
fn place(reader: &Reader<'_>, listed: &mut [(String, Entry)], data_start: u64, len: u64) -> Result<()> {
    for (name, entry) in listed {
        let expected = entry.range.end - entry.range.start;
        let start = entry.range.start.saturating_add(data_start);
        let end = entry.range.end.saturating_add(data_start);
        if end > len {
            let (path, tensor) = (reader.path().to_owned(), name.clone());
            return Err(Error::Extent { path, tensor, start, end, expected, len });
        }
        entry.range = start..end;
    }
    Ok(())
}

/// Tensors follow each other with less than one alignment of padding between them and after the last.
fn no_stray_bytes(
    reader: &Reader<'_>,
    listed: &mut [(String, Entry)],
    data_start: u64,
    alignment: u64,
    len: u64,
) -> Result<()> {
    listed.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let mut end = data_start;
    let mut before = None;
    for (name, entry) in &*listed {
        match before {
            Some(first) if entry.range.start < end => {
                return Err(Error::Overlap {
                    path: reader.path().to_owned(),
                    first: String::clone(first),
                    second: name.clone(),
                    offset: entry.range.start,
                });
            }
            _ if entry.range.start > end.next_multiple_of(alignment) => {
                return Err(Error::Unclaimed {
                    path: reader.path().to_owned(),
                    start: end,
                    end: entry.range.start,
                });
            }
            _ => {}
        }
        end = entry.range.end;
        before = Some(name);
    }
    if len > end.next_multiple_of(alignment) {
        return Err(Error::Unclaimed { path: reader.path().to_owned(), start: end, end: len });
    }
    Ok(())
}

fn dtype(id: u32) -> Option<DType> {
    Some(match id {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Q4_0,
        3 => DType::Q4_1,
        8 => DType::Q8_0,
        12 => DType::Q4K,
        13 => DType::Q5K,
        14 => DType::Q6K,
        30 => DType::BF16,
        _ => return None,
    })
}

/// ggml's name of a type id that is not decoded here.
fn type_name(id: u32) -> String {
    let name = match id {
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("number {id}"),
    };
    name.to_owned()
}
