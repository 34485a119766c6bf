//! What identifies a model's weights: one BLAKE3 over every file that changes its numbers.
//!
//! Hashing everything takes as long as reading everything, so it is done once per version of the files. The result is
//! kept in a cache folder with each file's size, modification time and inode, and with hashes of sampled blocks (64 KiB
//! each, spread evenly from the first byte to the last) that are compared again whenever the model is opened. Files up
//! to 4 MiB (of a model of one file) are thereby compared whole.
//!
//! What sampling cannot see: a change that leaves path, size, modification time and inode as they were and touches none
//! of the sampled blocks. Editing in place and setting the old time back does that, and so does a disk that returns
//! wrong bytes. [`Model::verify_fingerprint`] reads everything and sees both.

mod cache;

use std::fmt;
use std::path::Path;

use crate::{Error, Model, Result};
use cache::Record;

/// Version of the encoding that is hashed; part of the hash.
const DOMAIN: &[u8] = b"ibid weights fingerprint 1\0";
/// Bytes hashed between two reports of progress.
const STEP_BYTES: usize = 8 << 20;
/// Files of a folder that are part of its fingerprint beside the weights, where they exist.
const SIDE_FILES: [&str; 2] = ["config.json", crate::safetensors::INDEX];

/// BLAKE3 over a model's files: names relative to its folder, lengths and bytes. The name of a model that is one file
/// does not count, so renaming it changes nothing. Tokenizer files do not count either.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// How far a full hash has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub bytes_done: u64,
    pub bytes_total: u64,
}

impl Model {
    /// The fingerprint: from `cache_dir` if the files still look as they did when it was taken, by hashing everything
    /// otherwise, which calls `progress` every few megabytes. A cache file that cannot be read counts as none.
    pub fn fingerprint(&self, cache_dir: &Path, progress: impl FnMut(Progress)) -> Result<Fingerprint> {
        let side = self.side_files()?;
        let seen = Record::observe(self, &side);
        if let Some(fingerprint) = cache::load(cache_dir, self.path(), &seen) {
            return Ok(fingerprint);
        }
        let fingerprint = hash_all(self, &side, progress);
        cache::store(cache_dir, self.path(), &seen, fingerprint)?;
        Ok(fingerprint)
    }

    /// Hashes everything, whatever the cache says. [`Error::FingerprintChanged`] if the cache holds another fingerprint
    /// for files that look the same; the cached one is then dropped, so that it is not believed again.
    pub fn verify_fingerprint(
        &self,
        cache_dir: &Path,
        progress: impl FnMut(Progress),
    ) -> Result<Fingerprint> {
        let side = self.side_files()?;
        let seen = Record::observe(self, &side);
        let got = hash_all(self, &side, progress);
        match cache::load_stamped(cache_dir, self.path(), &seen) {
            Some(expected) if expected != got => {
                cache::remove(cache_dir, self.path())?;
                Err(Error::FingerprintChanged { path: self.path().to_owned(), expected, got })
            }
            _ => {
                cache::store(cache_dir, self.path(), &seen, got)?;
                Ok(got)
            }
        }
    }

    fn side_files(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut found = Vec::new();
        for name in SIDE_FILES {
            if let Some(bytes) = self.folder_file(name)? {
                found.push((name, bytes));
            }
        }
        Ok(found)
    }

    /// Names (empty for a single file) and bytes of the weight files, in the order of [`Model::files`].
    fn weight_files(&self) -> impl Iterator<Item = (String, &[u8])> {
        let folder = self.path().is_dir();
        self.files().iter().map(move |file| {
            let name = file.path().file_name().filter(|_| folder);
            (name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), file.bytes())
        })
    }
}

/// Domain, number of files, then per file: length of the name, name, length of the content, content; u64s little-endian.
fn hash_all(
    model: &Model,
    side: &[(&'static str, Vec<u8>)],
    mut progress: impl FnMut(Progress),
) -> Fingerprint {
    let files: Vec<(String, &[u8])> = side
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.as_slice()))
        .chain(model.weight_files())
        .collect();
    let bytes_total = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut bytes_done = 0;
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&(files.len() as u64).to_le_bytes());
    progress(Progress { bytes_done, bytes_total });
    for (name, bytes) in files {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        for step in bytes.chunks(STEP_BYTES) {
            hasher.update_rayon(step);
            bytes_done += step.len() as u64;
            progress(Progress { bytes_done, bytes_total });
        }
    }
    Fingerprint(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests;
