//! `ibid model …`: getting models and looking into them.

pub mod convert;
mod download;
pub mod fetch;
mod hub;
pub mod inspect;
pub mod logits;
pub mod plan;
pub mod planned_weights;

use crate::{data_folder::DataFolder, problem::Failure, settings::Settings};
use std::path::{Path, PathBuf};

/// The model a command means: a path, the name of a fetched one, or the only one fetched.
pub fn resolve(data: &DataFolder, settings: &Settings) -> Result<PathBuf, Failure> {
    if settings.model.is_empty() { the_only_one(data) } else { named(data, &settings.model) }
}

/// The model of a path, or of the name of a fetched one.
pub fn named(data: &DataFolder, wanted: &str) -> Result<PathBuf, Failure> {
    let candidates =
        [PathBuf::from(wanted), data.models().join(wanted), data.models().join(format!("{wanted}.gguf"))];
    candidates.into_iter().find(|path| path.exists()).ok_or_else(|| {
        let detail = format!(
            "no model {wanted:?}: it is neither a path nor one of the fetched {}; fetch the default one with ibid model \
             fetch, or name one on disk: --model PATH",
            names(data)
        );
        Failure::new(404, "model_missing", detail)
    })
}

fn the_only_one(data: &DataFolder) -> Result<PathBuf, Failure> {
    let default = data.models().join(fetch::DEFAULT_FILE);
    if default.exists() {
        return Ok(default);
    }
    match fetched(&data.models()).as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let detail = "no model was fetched yet; fetch the default one with ibid model fetch, or name one on disk: \
                          --model PATH";
            Err(Failure::new(503, "model_missing", detail))
        }
        _ => Err(Failure::new(
            400,
            "model_ambiguous",
            format!("several models were fetched ({}); choose one with --model", names(data)),
        )),
    }
}

/// Models in the data folder, by name; temporary files begin with a dot.
pub fn fetched(models: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(models).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "gguf" || e == "safetensors"))
        .collect();
    paths.sort();
    paths
}

fn names(data: &DataFolder) -> String {
    let names: Vec<String> = fetched(&data.models())
        .iter()
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() { "models (there are none)".into() } else { names.join(", ") }
}
