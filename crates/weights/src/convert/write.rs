//! Carrying out a planned conversion.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;

use super::{Conversion, Unit, shard_name};
use crate::model::read_folder_file;
use crate::new_file::{NewFile, io, sync_folder};
use crate::safetensors::INDEX;
use crate::{Error, Progress, Result, SafetensorsWriter};

/// Bytes copied between two reports of progress.
const STEP_BYTES: usize = 8 << 20;
const CONFIG: &str = "config.json";
/// Files of the source that belong to the result: tokenizer, chat template, generation settings, and how images are cut
/// for the vision tensors, which are copied for other readers.
const BESIDE: [&str; 12] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];
/// What the files begin with that say under which terms the weights may be used, in any case, and how they may end.
const TERMS: [&str; 5] = ["license", "licence", "notice", "copying", "use_policy"];
const TERMS_ENDINGS: [&str; 3] = ["", "md", "txt"];

impl Conversion<'_> {
    /// Writes the result into the folder `target`, which is made where there is none; weights, index and config of a
    /// model that lies there are removed first. What the result needs of the files beside the weights goes along and
    /// overwrites files of the same names. `config.json` comes last, so that an unfinished folder is no model.
    ///
    /// `progress` counts bytes of the source and can stop the work ([`Error::Interrupted`]).
    pub fn write(&self, target: &Path, mut progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        let source = self.model.path();
        fs::create_dir_all(target).map_err(io(target, "make"))?;
        let real = |path: &Path| path.canonicalize().map_err(io(path, "find"));
        if real(source)? == real(target)? {
            return Err(Error::SameFolder { path: target.to_owned() });
        }
        clear(target)?;
        let mut done = 0;
        let mut report = |bytes: u64| {
            done += bytes;
            match progress(Progress { bytes_done: done, bytes_total: self.bytes_read }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Interrupted),
            }
        };
        let mut weight_map = BTreeMap::new();
        for (at, units) in self.shards.iter().enumerate() {
            let name = shard_name(at, self.shards.len());
            let specs: Vec<_> = units.iter().flat_map(Unit::specs).collect();
            let mut writer = SafetensorsWriter::create(&target.join(&name), &specs)?;
            units.iter().try_for_each(|unit| unit.write(&mut writer, &mut report))?;
            writer.finish()?;
            weight_map.extend(specs.into_iter().map(|spec| (spec.name, name.clone())));
        }
        let index = json!({"metadata": {"total_size": self.bytes_written}, "weight_map": weight_map});
        put(target, INDEX, index.to_string().as_bytes())?;
        for name in beside(source)? {
            if let Some(bytes) = read_folder_file(source, &name)? {
                put(target, &name, &bytes)?;
            }
        }
        put(target, CONFIG, &self.config)
    }
}

impl Unit<'_> {
    fn write(
        &self,
        writer: &mut SafetensorsWriter,
        report: &mut impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Copy(tensor) => tensor.bytes.chunks(STEP_BYTES).try_for_each(|step| {
                writer.write(step)?;
                report(step.len() as u64)
            }),
            Self::Quantise(matrix) => {
                matrix.write(writer)?;
                report(matrix.bytes_read())
            }
        }
    }
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let mut file = NewFile::create(&folder.join(name))?;
    file.write(bytes)?;
    file.finish()
}

/// Takes a model out of a folder: the config durably before anything that it describes.
fn clear(folder: &Path) -> Result<()> {
    let remove = |name: &str| match fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(io(&folder.join(name), "remove")),
    };
    remove(CONFIG)?;
    sync_folder(folder)?;
    remove(INDEX)?;
    for name in file_names(folder)? {
        if name.starts_with("model") && name.ends_with(".safetensors") {
            remove(&name)?;
        }
    }
    Ok(())
}

/// Names of the files that go along.
fn beside(source: &Path) -> Result<Vec<String>> {
    let mut names = file_names(source)?;
    names.retain(|name| {
        (BESIDE.contains(&name.as_str()) || are_terms(name))
            && fs::metadata(source.join(name)).is_ok_and(|info| info.is_file())
    });
    Ok(names)
}

fn are_terms(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    TERMS.iter().any(|begin| name.starts_with(begin)) && TERMS_ENDINGS.contains(&ending)
}

fn file_names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(io(folder, "list"))?;
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(io(folder, "list"))?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}
