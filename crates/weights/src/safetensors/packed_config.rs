//! The quantisation that `config.json` declares: schemes that the tensors alone would not give away are refused.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// What can be read, for error messages.
pub(super) const SUPPORTED: &str = "compressed-tensors pack-quantized int4 weights, symmetric or asymmetric";

/// What the config says about all of its packed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symmetry {
    /// No zero points.
    Symmetric,
    /// Each with zero points.
    Asymmetric,
    /// Nothing, or not the same of all: each weight's parts decide.
    Unsaid,
}

/// Checks the `quantization_config` of a model's config.
pub(super) fn check(path: &Path, config: &Value) -> Result<Symmetry> {
    let scheme = ["quantization_config", "compression_config"].iter().find_map(|key| config.get(key));
    let Some(scheme) = scheme.filter(|scheme| !scheme.is_null()) else { return Ok(Symmetry::Unsaid) };
    let refuse = |what: &str, got: &Value| Error::Unsupported {
        path: path.to_owned(),
        what: what.to_owned(),
        got: got.to_string(),
        supported: SUPPORTED,
    };
    let check = |what: &str, got: Option<&Value>, expected: Value| match got {
        Some(got) if *got != expected => Err(refuse(what, got)),
        _ => Ok(()),
    };
    let null = Value::Null;
    let required = |key: &str| Some(scheme.get(key).unwrap_or(&null));
    check("quant_method", required("quant_method"), "compressed-tensors".into())?;
    check("quantisation format", required("format"), "pack-quantized".into())?;
    check("kv_cache_scheme", scheme.get("kv_cache_scheme"), Value::Null)?;
    let mut symmetric = Vec::new();
    let groups = scheme.get("config_groups").and_then(Value::as_object);
    for (name, group) in groups.into_iter().flatten() {
        if let Some(weights) = group.get("weights") {
            check(&format!("{name} num_bits"), weights.get("num_bits"), 4.into())?;
            check(&format!("{name} type"), weights.get("type"), "int".into())?;
            // The format's default where the key is absent.
            let declared = weights.get("symmetric").unwrap_or(&Value::Bool(true));
            symmetric.push(declared.as_bool().ok_or_else(|| refuse(&format!("{name} symmetric"), declared))?);
        }
        for activations in ["input_activations", "output_activations"] {
            check(&format!("{name} {activations}"), group.get(activations), Value::Null)?;
        }
    }
    Ok(match symmetric.as_slice() {
        [] => Symmetry::Unsaid,
        all if all.iter().all(|symmetric| *symmetric) => Symmetry::Symmetric,
        all if all.iter().all(|symmetric| !symmetric) => Symmetry::Asymmetric,
        _ => Symmetry::Unsaid,
    })
}
