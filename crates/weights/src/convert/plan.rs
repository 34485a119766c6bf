//! What becomes of every tensor of the source, and in which file of the result it lies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::matrix::Matrix;
use super::names::{self, Kind, PROJECTIONS, Role};
use super::{Conversion, Unit, config, unsupported};
use crate::{Container, DType, Error, Model, Result, Tensor};

pub(super) fn plan(model: &Model, shard_bytes: u64) -> Result<Conversion<'_>> {
    let path = model.path();
    let json = match (model.container(), model.folder_file("config.json")?) {
        (Container::SafetensorsFolder, Some(json)) => json,
        (container, _) => return Err(unsupported(path, "the container", format!("{container:?}"))),
    };
    let source = || path.join("config.json");
    let json: Value =
        serde_json::from_slice(&json).map_err(|error| Error::Json { path: source(), source: error })?;
    if let Some(scheme) = json.get("quantization_config").filter(|scheme| !scheme.is_null()) {
        let method = scheme.get("quant_method").and_then(Value::as_str).unwrap_or("of unknown method");
        return Err(unsupported(path, "the quantisation", method));
    }
    let mut planner = Planner { model, hidden: config::hidden_size(&json), group_sizes: BTreeMap::new() };
    let mut units = Vec::new();
    for name in model.tensor_names() {
        planner.add(model.tensor(name)?, &mut units)?;
    }
    let n_matrices = units.iter().filter(|unit| matches!(unit, Unit::Quantise(_))).count() as u64;
    if n_matrices == 0 {
        return Err(Error::NothingToQuantise { path: path.to_owned() });
    }
    let config = config::with_scheme(json, &planner.group_sizes)
        .map_err(|error| Error::Json { path: source(), source: error })?;
    let bytes_read = units.iter().map(Unit::bytes_read).sum();
    let (shards, bytes_written) = shards(model, units, shard_bytes)?;
    Ok(Conversion { model, shards, config, bytes_read, bytes_written, n_matrices })
}

struct Planner<'a> {
    model: &'a Model,
    /// Width of the model, where the config says it.
    hidden: Option<u64>,
    /// Of the kinds that were met.
    group_sizes: BTreeMap<Kind, u64>,
}

impl<'a> Planner<'a> {
    fn add(&mut self, tensor: Tensor<'a>, units: &mut Vec<Unit<'a>>) -> Result<()> {
        if tensor.dtype.block_len() != 1 {
            return Err(unsupported(self.model.path(), "the tensor type", tensor.dtype));
        }
        let role = names::role(tensor.name);
        let is_float = matches!(tensor.dtype, DType::F32 | DType::F16 | DType::BF16);
        if role != Role::Other && !is_float {
            return Err(Error::NotWeights { tensor: tensor.name.to_owned(), dtype: tensor.dtype });
        }
        let [gate, up, down] = PROJECTIONS;
        match role {
            Role::Other => units.push(Unit::Copy(tensor)),
            Role::Linear { module, kind } => {
                let matrix = Matrix::whole(module, tensor);
                units.push(self.quantise(matrix, kind, &tensor)?);
            }
            Role::FusedGateUp { experts } => self.fused(&experts, tensor, &[gate, up], units)?,
            Role::FusedDown { experts } => self.fused(&experts, tensor, &[down], units)?,
        }
        Ok(())
    }

    /// The matrices of a fused tensor, expert by expert.
    fn fused(
        &mut self,
        experts: &str,
        tensor: Tensor<'a>,
        projections: &[&'static str],
        units: &mut Vec<Unit<'a>>,
    ) -> Result<()> {
        let n_experts = *tensor.shape.first().filter(|n| **n > 0).unwrap_or(&1);
        for expert in 0..n_experts {
            for (part, &projection) in (0..).zip(projections) {
                let module = format!("{experts}.{expert}.{projection}");
                let matrix = Matrix::of_fused(module, tensor, expert, (part, projections.len() as u64));
                units.push(self.quantise(matrix, Kind { shared: false, projection }, &tensor)?);
            }
        }
        Ok(())
    }

    /// Holds a matrix against the rest of the model.
    fn quantise(
        &mut self,
        matrix: Result<Matrix<'a>, &str>,
        kind: Kind,
        tensor: &Tensor<'_>,
    ) -> Result<Unit<'a>> {
        let matrix = matrix.map_err(|expected| self.shape_error(tensor, expected))?;
        let side = if kind.projection == "down_proj" { matrix.n_out } else { matrix.n_in };
        if let Some(hidden) = self.hidden.filter(|hidden| *hidden != side) {
            let expected = format!("hidden_size {hidden} on the side of the model");
            return Err(self.shape_error(tensor, &expected));
        }
        let size = *self.group_sizes.entry(kind).or_insert(matrix.group_size);
        if size != matrix.group_size {
            // The config names one group size per kind of matrix.
            let expected = format!("input features in groups of {size}, as in the other layers");
            return Err(self.shape_error(tensor, &expected));
        }
        Ok(Unit::Quantise(matrix))
    }

    fn shape_error(&self, tensor: &Tensor<'_>, expected: &str) -> Error {
        Error::Shape {
            path: self.model.path().to_owned(),
            tensor: tensor.name.to_owned(),
            shape: tensor.shape.to_vec(),
            expected: expected.to_owned(),
        }
    }
}

/// Deals units out to files of about `shard_bytes`; also the bytes of all.
fn shards<'a>(model: &Model, units: Vec<Unit<'a>>, shard_bytes: u64) -> Result<(Vec<Vec<Unit<'a>>>, u64)> {
    let mut names = BTreeSet::new();
    let (mut shards, mut filled, mut total) = (vec![Vec::new()], 0, 0u64);
    for unit in units {
        let mut bytes = 0;
        for spec in unit.specs() {
            bytes += spec.bytes().unwrap_or_default();
            if let Some(name) = names.replace(spec.name) {
                return Err(Error::Duplicate { path: model.path().to_owned(), kind: "tensor", name });
            }
        }
        if filled > 0 && filled + bytes > shard_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        total += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push(unit);
        }
    }
    Ok((shards, total))
}
