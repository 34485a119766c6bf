//! compressed-tensors `pack-quantized` int4: `X.weight_packed`, `X.weight_scale` and `X.weight_shape` become one tensor
//! `X.weight` of type [`DType::PackedInt4`].
//!
//! `weight_packed` is I32 `[out, ceil(in / 8)]`, `weight_scale` `[out, in / group_size]`, `weight_shape` `[2]` = out, in.
//! Only symmetric 4-bit integers without activation order are read; everything else is refused by name.

use std::path::Path;

use serde_json::Value;

use crate::map::MappedFile;
use crate::table::{Entry, ScalesEntry, StoredType, Table};
use crate::{DType, Error, Result};

const PACKED: &str = ".weight_packed";
const SUPPORTED: &str = "compressed-tensors pack-quantized int4, symmetric, without activation order";

/// Folds the parts of packed weights; `config` is the model's `config.json` with its path, where there is one.
pub(super) fn fold(mut table: Table, files: &[MappedFile], config: Option<(&Path, &Value)>) -> Result<Table> {
    if let Some((path, config)) = config {
        check_config(path, config)?;
    }
    let layers: Vec<String> =
        table.keys().filter_map(|name| name.strip_suffix(PACKED)).map(str::to_owned).collect();
    for layer in layers {
        fold_one(&mut table, files, &layer)?;
    }
    Ok(table)
}

fn fold_one(table: &mut Table, files: &[MappedFile], layer: &str) -> Result<()> {
    let packed_name = format!("{layer}{PACKED}");
    let Some(packed) = table.remove(&packed_name) else { return Ok(()) };
    let path = files.get(packed.file).map_or_else(|| Path::new(""), MappedFile::path);
    for part in ["weight_g_idx", "weight_zero_point"] {
        let name = format!("{layer}.{part}");
        if table.contains_key(&name) {
            let (path, what) = (path.to_owned(), "the quantisation part".into());
            return Err(Error::Unsupported { path, what, got: name, supported: SUPPORTED });
        }
    }
    let mut part = |part: &str| {
        let name = format!("{layer}.{part}");
        let entry = table.remove(&name);
        entry.ok_or(Error::MissingTensor { path: path.to_owned(), tensor: name })
    };
    let (scale, shape_entry) = (part("weight_scale")?, part("weight_shape")?);
    let wrong = |part: &str, entry: &Entry, expected: String| Error::Shape {
        path: path.to_owned(),
        tensor: format!("{layer}.{part}"),
        shape: entry.shape.clone(),
        expected,
    };
    let Some([rows, cols]) = weight_shape(&shape_entry, files) else {
        let expected = "two positive integers of type I64 or I32, as the weight's shape".into();
        return Err(wrong("weight_shape", &shape_entry, expected));
    };
    if packed.dtype != StoredType::Known(DType::I32) || packed.shape != [rows, cols.div_ceil(8)] {
        return Err(wrong("weight_packed", &packed, format!("I32 [{rows}, {}]", cols.div_ceil(8))));
    }
    let groups = match (scale.dtype, scale.shape.as_slice()) {
        (StoredType::Known(DType::F32 | DType::F16 | DType::BF16), [r, groups])
            if *r == rows && *groups > 0 && cols.is_multiple_of(*groups) =>
        {
            *groups
        }
        _ => return Err(wrong("weight_scale", &scale, format!("floats [{rows}, a divisor of {cols}]"))),
    };
    let StoredType::Known(scale_type) = scale.dtype else { return Ok(()) };
    let entry = Entry {
        dtype: StoredType::Known(DType::PackedInt4 { group_size: cols / groups }),
        shape: vec![rows, cols],
        file: packed.file,
        range: packed.range,
        scales: Some(ScalesEntry { dtype: scale_type, file: scale.file, range: scale.range, groups }),
    };
    let name = format!("{layer}.weight");
    if table.insert(name.clone(), entry).is_some() {
        return Err(Error::Duplicate { path: path.to_owned(), kind: "tensor", name });
    }
    Ok(())
}

/// The two numbers of a `weight_shape` tensor, both positive.
fn weight_shape(entry: &Entry, files: &[MappedFile]) -> Option<[u64; 2]> {
    let bytes = files.get(entry.file)?.slice(&entry.range);
    let values: Vec<i64> = match entry.dtype {
        StoredType::Known(DType::I64) => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        StoredType::Known(DType::I32) => {
            bytes.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()
        }
        _ => return None,
    };
    let [rows, cols] = values.try_into().ok()?;
    let positive = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
    Some([positive(rows)?, positive(cols)?])
}

/// Refuses quantisation schemes that the tensors alone would not give away.
fn check_config(path: &Path, config: &Value) -> Result<()> {
    let scheme = ["quantization_config", "compression_config"].iter().find_map(|key| config.get(key));
    let Some(scheme) = scheme.filter(|scheme| !scheme.is_null()) else { return Ok(()) };
    let check = |what: &str, got: Option<&Value>, expected: Value| match got {
        Some(got) if *got != expected => Err(Error::Unsupported {
            path: path.to_owned(),
            what: what.to_owned(),
            got: got.to_string(),
            supported: SUPPORTED,
        }),
        _ => Ok(()),
    };
    let null = Value::Null;
    let required = |key: &str| Some(scheme.get(key).unwrap_or(&null));
    check("quant_method", required("quant_method"), "compressed-tensors".into())?;
    check("quantisation format", required("format"), "pack-quantized".into())?;
    let groups = scheme.get("config_groups").and_then(Value::as_object);
    for (name, group) in groups.into_iter().flatten() {
        if let Some(weights) = group.get("weights") {
            check(&format!("{name} num_bits"), weights.get("num_bits"), 4.into())?;
            check(&format!("{name} type"), weights.get("type"), "int".into())?;
            check(&format!("{name} symmetric"), weights.get("symmetric"), true.into())?;
        }
        for activations in ["input_activations", "output_activations"] {
            check(&format!("{name} {activations}"), group.get(activations), Value::Null)?;
        }
    }
    let kv = scheme.get("kv_cache_scheme");
    check("kv_cache_scheme", kv, Value::Null)
}
