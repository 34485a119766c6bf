//! The files of a safetensors folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::json::{self, UniqueMap};
use super::{header, limits};
use crate::map::MappedFile;
use crate::model::{plain_name, read_folder_file};
use crate::table::Table;
use crate::{Error, Result};

const SINGLE: &str = "model.safetensors";
/// The index of a sharded model.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    /// Tensor name → file name.
    weight_map: UniqueMap<String>,
}

/// Maps the files (in order of their names) and merges their directories. Where there is an index, it decides.
pub(super) fn read(folder: &Path) -> Result<(Vec<MappedFile>, Table)> {
    let Some(index) = read_folder_file(folder, INDEX)? else {
        if !folder.join(SINGLE).exists() {
            let reason = format!("the folder has neither {SINGLE} nor {INDEX}");
            return Err(Error::NotAModel { path: folder.to_owned(), reason });
        }
        let file = MappedFile::open(&folder.join(SINGLE))?;
        let table = header::read(&file, 0)?;
        return Ok((vec![file], table));
    };
    let index_path = folder.join(INDEX);
    let Index { weight_map: UniqueMap(weight_map) } = json::parse(&index_path, &index)?;
    sharded(folder, &index_path, &weight_map)
}

fn sharded(
    folder: &Path,
    index_path: &Path,
    weight_map: &BTreeMap<String, String>,
) -> Result<(Vec<MappedFile>, Table)> {
    let names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
    if names.len() as u64 > limits::SHARDS {
        let (what, got) = ("number of shards", names.len() as u64);
        return Err(Error::TooLarge { path: index_path.to_owned(), what, got, limit: limits::SHARDS });
    }
    let mut files = Vec::new();
    let mut table = Table::new();
    for (file_idx, shard) in names.into_iter().enumerate() {
        let file = MappedFile::open(&folder.join(plain_name(index_path, shard)?))?;
        for (name, entry) in header::read(&file, file_idx)? {
            // A tensor that the index places elsewhere, or nowhere, would be ambiguous: the index and the shards
            // were not written together.
            if weight_map.get(&name).map(String::as_str) != Some(shard) {
                return Err(Error::Invalid {
                    path: index_path.to_owned(),
                    offset: 0,
                    what: "place of a tensor",
                    expected: format!("{shard} for `{name}`, which is there"),
                    got: weight_map.get(&name).map_or("nothing".into(), |other| other.to_string()),
                });
            }
            table.insert(name, entry);
        }
        files.push(file);
    }
    match weight_map.iter().find(|(name, _)| !table.contains_key(*name)) {
        Some((name, shard)) => Err(Error::MissingTensor { path: folder.join(shard), tensor: name.clone() }),
        None => Ok((files, table)),
    }
}
