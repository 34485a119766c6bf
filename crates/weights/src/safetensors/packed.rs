//! compressed-tensors `pack-quantized` int4: the parts of a packed weight become one tensor `X.weight` of type
//! [`DType::PackedInt4`].
//!
//! Parts of an `[out, in]` weight in groups of `in / groups` columns:
//! - `X.weight_packed`: I32 `[out, ceil(in / 8)]`, the codes;
//! - `X.weight_scale`: floats `[out, groups]`;
//! - `X.weight_shape`: I64 or I32 `[2]` = out, in;
//! - `X.weight_zero_point`: I32 `[ceil(out / 8), groups]`, of asymmetric weights;
//! - `X.weight_g_idx`: I32 `[in]`, the group of each column where activations decided the order of the groups.
//!
//! Source: `PackedQuantizationCompressor` and `dequantize` of compressed-tensors 0.12.2.

use std::path::Path;

use serde_json::Value;

use super::packed_config::{self, SUPPORTED, Symmetry};
use crate::map::MappedFile;
use crate::table::{Entry, Place, ScalesEntry, StoredType, Table};
use crate::{DType, Error, Result};

const PACKED: &str = ".weight_packed";

/// Folds the parts of packed weights; `config` is the model's `config.json` with its path, where there is one.
pub(super) fn fold(mut table: Table, files: &[MappedFile], config: Option<(&Path, &Value)>) -> Result<Table> {
    let symmetry = match config {
        Some((path, config)) => packed_config::check(path, config)?,
        None => Symmetry::Unsaid,
    };
    let layers: Vec<String> =
        table.keys().filter_map(|name| name.strip_suffix(PACKED)).map(str::to_owned).collect();
    for layer in layers {
        if let Some(packed) = table.remove(&format!("{layer}{PACKED}")) {
            let path = files.get(packed.file).map_or_else(|| Path::new(""), MappedFile::path);
            Layer { name: &layer, path, files, symmetry }.fold(packed, &mut table)?;
        }
    }
    Ok(table)
}

/// One packed weight while its parts are put together.
struct Layer<'a> {
    name: &'a str,
    /// Of the file with the codes, for errors.
    path: &'a Path,
    files: &'a [MappedFile],
    symmetry: Symmetry,
}

impl Layer<'_> {
    fn fold(&self, packed: Entry, table: &mut Table) -> Result<()> {
        let scale = self.required("weight_scale", table)?;
        let shape = self.required("weight_shape", table)?;
        let Some([rows, cols]) = self.weight_shape(&shape) else {
            let expected = "two positive integers of type I64 or I32, as the weight's shape".into();
            return Err(self.wrong("weight_shape", &shape, expected));
        };
        let words = [rows, cols.div_ceil(8)];
        if packed.dtype != StoredType::Known(DType::I32) || packed.shape != words {
            return Err(self.wrong("weight_packed", &packed, format!("I32 {words:?}")));
        }
        let (scale_type, groups) = match (scale.dtype, scale.shape.as_slice()) {
            (StoredType::Known(dtype @ (DType::F32 | DType::F16 | DType::BF16)), [r, groups])
                if *r == rows && *groups > 0 && cols.is_multiple_of(*groups) =>
            {
                (dtype, *groups)
            }
            _ => {
                let expected = format!("floats [{rows}, a divisor of {cols}]");
                return Err(self.wrong("weight_scale", &scale, expected));
            }
        };
        let group_size = cols / groups;
        let scales = ScalesEntry {
            dtype: scale_type,
            place: place(scale),
            groups,
            zero_points: self.zero_points([rows.div_ceil(8), groups], table)?,
            g_idx: self.g_idx(cols, group_size, table)?,
        };
        let entry = Entry {
            dtype: StoredType::Known(DType::PackedInt4 { group_size }),
            shape: vec![rows, cols],
            file: packed.file,
            range: packed.range,
            scales: Some(scales),
        };
        let name = format!("{}.weight", self.name);
        match table.insert(name.clone(), entry) {
            Some(_) => Err(Error::Duplicate { path: self.path.to_owned(), kind: "tensor", name }),
            None => Ok(()),
        }
    }

    fn zero_points(&self, shape: [u64; 2], table: &mut Table) -> Result<Option<Place>> {
        const PART: &str = "weight_zero_point";
        let entry = match self.symmetry {
            Symmetry::Asymmetric => self.required(PART, table)?,
            Symmetry::Symmetric | Symmetry::Unsaid => match table.remove(&self.part(PART)) {
                Some(entry) => entry,
                None => return Ok(None),
            },
        };
        // Readers disagree on whether zero points of a weight that is declared symmetric count.
        if self.symmetry == Symmetry::Symmetric {
            let (path, what) = (self.path.to_owned(), "a symmetric quantisation_config with".into());
            return Err(Error::Unsupported { path, what, got: self.part(PART), supported: SUPPORTED });
        }
        if entry.dtype != StoredType::Known(DType::I32) || entry.shape != shape {
            return Err(self.wrong(PART, &entry, format!("I32 {shape:?}")));
        }
        Ok(Some(place(entry)))
    }

    /// The column order, checked value by value; `None` where it is that of the columns.
    fn g_idx(&self, cols: u64, group_size: u64, table: &mut Table) -> Result<Option<Place>> {
        const PART: &str = "weight_g_idx";
        let Some(entry) = table.remove(&self.part(PART)) else { return Ok(None) };
        if entry.dtype != StoredType::Known(DType::I32) || entry.shape != [cols] {
            return Err(self.wrong(PART, &entry, format!("I32 [{cols}]")));
        }
        let values = || self.bytes(&entry).as_chunks().0.iter().map(|b| i32::from_le_bytes(*b));
        // All −1 is how the format's own writer says that no order was ever set.
        let columns = (0..cols).map(|col| i32::try_from(col / group_size).unwrap_or(i32::MAX));
        if values().all(|group| group == -1) || values().eq(columns) {
            return Ok(None);
        }
        let mut left = vec![group_size; usize::try_from(cols / group_size).unwrap_or_default()];
        for (at, group) in (0u64..).zip(values()) {
            let of_group = usize::try_from(group).ok().and_then(|group| left.get_mut(group));
            match of_group {
                Some(left) if *left > 0 => *left -= 1,
                _ => {
                    return Err(Error::Invalid {
                        path: self.files.get(entry.file).map_or(self.path, MappedFile::path).to_owned(),
                        offset: entry.range.start + 4 * at,
                        what: "group of a column in weight_g_idx",
                        expected: format!("each of 0..{} {group_size} times", left.len()),
                        got: format!("{group} for column {at} of `{}`", self.name),
                    });
                }
            }
        }
        Ok(Some(place(entry)))
    }

    /// The two numbers of a `weight_shape` tensor, both positive.
    fn weight_shape(&self, entry: &Entry) -> Option<[u64; 2]> {
        let bytes = self.bytes(entry);
        let values: Vec<i64> = match entry.dtype {
            StoredType::Known(DType::I64) => {
                bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
            }
            StoredType::Known(DType::I32) => {
                bytes.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()
            }
            _ => return None,
        };
        let [rows, cols] = values.try_into().ok()?;
        let positive = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
        Some([positive(rows)?, positive(cols)?])
    }

    fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    fn required(&self, part: &str, table: &mut Table) -> Result<Entry> {
        let name = self.part(part);
        let entry = table.remove(&name);
        entry.ok_or(Error::MissingTensor { path: self.path.to_owned(), tensor: name })
    }

    fn bytes(&self, entry: &Entry) -> &[u8] {
        self.files.get(entry.file).map(|file| file.slice(&entry.range)).unwrap_or_default()
    }

    fn wrong(&self, part: &str, entry: &Entry, expected: String) -> Error {
        Error::Shape {
            path: self.path.to_owned(),
            tensor: self.part(part),
            shape: entry.shape.clone(),
            expected,
        }
    }
}

fn place(entry: Entry) -> Place {
    Place { file: entry.file, range: entry.range }
}
