//! The cached fingerprint: one small JSON file per model path, named after the path's hash.
//!
//! The file is replaced by renaming, and carries a checksum over its own content: a torn or edited one counts as none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::map::Stamp;
use crate::{Error, Model, Result};

/// Sampled blocks of a model, shared out among its files.
const SAMPLES: usize = 64;
/// Fewest sampled blocks of one file.
const MIN_SAMPLES: usize = 4;
/// Bytes of a sampled block.
const SAMPLE_BYTES: usize = 64 << 10;

/// What a model's files look like without reading them whole.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Small files beside the weights: name and hash, in hex.
    side: Vec<(String, String)>,
    weights: Vec<FileRecord>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileRecord {
    path: PathBuf,
    stamp: Stamp,
    /// Hashes of the sampled blocks, in hex, first to last.
    samples: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    record: Record,
    fingerprint: [u8; 32],
    /// BLAKE3 over the JSON of the two fields above, in hex.
    checksum: String,
}

impl Record {
    pub fn observe(model: &Model, side: &[(&'static str, Vec<u8>)]) -> Self {
        let per_file = (SAMPLES / model.files().len().max(1)).max(MIN_SAMPLES);
        Self {
            side: side.iter().map(|(name, bytes)| ((*name).to_owned(), hex(bytes))).collect(),
            weights: model
                .files()
                .iter()
                .map(|file| FileRecord {
                    path: std::path::absolute(file.path()).unwrap_or_else(|_| file.path().to_owned()),
                    stamp: file.stamp().clone(),
                    samples: samples(file.bytes(), per_file).map(hex).collect(),
                })
                .collect(),
        }
    }

    /// Whether both describe files with the same paths, sizes, times and inodes.
    fn same_stamps(&self, other: &Self) -> bool {
        let stamps = |record: &Self| -> Vec<(PathBuf, Stamp)> {
            record.weights.iter().map(|file| (file.path.clone(), file.stamp.clone())).collect()
        };
        self.side == other.side && stamps(self) == stamps(other)
    }
}

/// `count` blocks spread evenly so that the first begins the file and the last ends it; the whole file, cut into
/// blocks, where it is no longer than they are together.
fn samples(bytes: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    let whole = bytes.len() <= count * SAMPLE_BYTES;
    let count = if whole { bytes.len().div_ceil(SAMPLE_BYTES) } else { count };
    (0..count).map(move |k| {
        let start = if whole { k * SAMPLE_BYTES } else { sample_start(bytes.len(), k, count) };
        let tail = bytes.get(start..).unwrap_or_default();
        tail.get(..SAMPLE_BYTES).unwrap_or(tail)
    })
}

/// Where block `k` of `count` begins in a file of `len` bytes. 128 bits hold any product of a length and a count.
fn sample_start(len: usize, k: usize, count: usize) -> usize {
    let last_start = (len - SAMPLE_BYTES) as u128;
    (last_start * k as u128 / (count - 1) as u128) as usize
}

/// The fingerprint, if the files look as they did, sampled blocks included.
pub(super) fn load(cache_dir: &Path, model: &Path, seen: &Record) -> Option<Fingerprint> {
    let stored = read(&cache_path(cache_dir, model))?;
    (stored.record == *seen).then_some(Fingerprint(stored.fingerprint))
}

/// The fingerprint, if the files have the sizes, times and inodes that they had.
pub(super) fn load_stamped(cache_dir: &Path, model: &Path, seen: &Record) -> Option<Fingerprint> {
    let stored = read(&cache_path(cache_dir, model))?;
    stored.record.same_stamps(seen).then_some(Fingerprint(stored.fingerprint))
}

fn read(path: &Path) -> Option<Stored> {
    let stored: Stored = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (stored.checksum == checksum(&stored.record, &stored.fingerprint)).then_some(stored)
}

pub(super) fn store(cache_dir: &Path, model: &Path, seen: &Record, fingerprint: Fingerprint) -> Result<()> {
    let path = cache_path(cache_dir, model);
    let body = serde_json::json!({
        "record": seen,
        "fingerprint": fingerprint.0,
        "checksum": checksum(seen, &fingerprint.0),
    });
    // Its own name per process: two that hash the same model at once must not write into one temporary file.
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::create_dir_all(cache_dir)
        .and_then(|()| std::fs::write(&temporary, body.to_string()))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|source| Error::Io { path, action: "write", source })
}

pub(super) fn remove(cache_dir: &Path, model: &Path) -> Result<()> {
    let path = cache_path(cache_dir, model);
    std::fs::remove_file(&path).map_err(|source| Error::Io { path, action: "remove", source })
}

fn cache_path(cache_dir: &Path, model: &Path) -> PathBuf {
    let model = std::path::absolute(model).unwrap_or_else(|_| model.to_owned());
    let name: String = hex(model.as_os_str().as_encoded_bytes()).chars().take(32).collect();
    cache_dir.join(format!("weights-{name}.json"))
}

fn checksum(record: &Record, fingerprint: &[u8; 32]) -> String {
    hex(serde_json::json!([record, fingerprint]).to_string().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
