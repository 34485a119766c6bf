//! `ibid model inspect`: what a model file holds, without loading it.

use crate::{cli::Inspect, data_folder::DataFolder, event::Out, owner::Exit, settings::Settings};
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;

pub fn run(data: &DataFolder, settings: &Settings, args: &Inspect, out: &Out) -> Result<Exit> {
    let path = match &args.which {
        Some(named) => super::named(data, named)?,
        None => super::resolve(data, settings)?,
    };
    let model = weights::Model::open(&path)?;
    let names: Vec<String> = model.tensor_names().map(str::to_owned).collect();
    let (mut parameters, mut bytes) = (0_u64, 0_u64);
    let mut types = BTreeMap::<String, u64>::new();
    let mut tensors = Vec::new();
    for name in &names {
        let tensor = model.tensor(name)?;
        let elements = tensor.shape.iter().product::<u64>();
        parameters += elements;
        bytes += tensor.bytes.len() as u64;
        *types.entry(format!("{:?}", tensor.dtype)).or_default() += elements;
        if args.tensors {
            tensors
                .push(json!({ "name": name, "dtype": format!("{:?}", tensor.dtype), "shape": tensor.shape }));
        }
    }
    out.line(path.display());
    out.line(format_args!(
        "{:?}, {} tensors, {parameters} parameters, {bytes} bytes",
        model.container(),
        names.len()
    ));
    for (dtype, elements) in &types {
        out.line(format_args!("  {dtype}: {elements} parameters"));
    }
    for tensor in &tensors {
        out.line(format_args!("  {} {} {}", tensor["name"], tensor["dtype"], tensor["shape"]));
    }
    out.object(json!({
        "object": "model", "path": path, "container": format!("{:?}", model.container()),
        "parameters": parameters, "bytes": bytes, "types": types, "tensors": tensors,
    }));
    Ok(Exit::Done)
}
