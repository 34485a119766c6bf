//! When a cached fingerprint is believed, and when it is not.

use std::fs::{File, FileTimes};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::testing::{GgufWriter, f32_bytes, safetensors};

/// 16 MiB of weights: larger than all sampled blocks together.
const VALUES: usize = 4 << 20;

struct Case {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.gguf");
        let bytes = vec![0x3c; VALUES * 4];
        let file = GgufWriter::new().tensor("w", crate::DType::F32, &[VALUES as u64], &bytes);
        std::fs::write(&path, file.to_bytes()).unwrap();
        Self { dir, path }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The fingerprint, and whether it came from the cache.
    fn fingerprint(&self) -> (Fingerprint, bool) {
        let mut calls = 0;
        let got = Model::open(&self.path).unwrap().fingerprint(&self.cache(), |_| calls += 1).unwrap();
        (got, calls == 0)
    }

    /// Changes one byte in place and sets the old modification time back: same path, size, time and inode.
    fn edit_unseen(&self, at: u64) {
        let file = File::options().write(true).open(&self.path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(&[0x3d], at).unwrap();
        file.set_times(FileTimes::new().set_modified(modified)).unwrap();
    }
}

fn ignore(_: Progress) {}

#[test]
fn the_second_time_comes_from_the_cache() {
    let case = Case::new();
    let (first, cached) = case.fingerprint();
    assert!(!cached);
    assert_eq!(case.fingerprint(), (first, true));
    assert_eq!(Model::open(&case.path).unwrap().verify_fingerprint(&case.cache(), ignore).unwrap(), first);
}

#[test]
fn the_fingerprint_is_the_hash_of_the_canonical_encoding() {
    let case = Case::new();
    let bytes = std::fs::read(&case.path).unwrap();
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"ibid weights fingerprint 1\0");
    hasher.update(&1u64.to_le_bytes()).update(&0u64.to_le_bytes());
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    assert_eq!(case.fingerprint().0.0, *hasher.finalize().as_bytes());
}

#[test]
fn progress_ends_at_the_total() {
    let case = Case::new();
    let mut seen = Vec::new();
    Model::open(&case.path).unwrap().fingerprint(&case.cache(), |p| seen.push(p)).unwrap();
    let total = std::fs::metadata(&case.path).unwrap().len();
    assert_eq!(seen.first().unwrap(), &Progress { bytes_done: 0, bytes_total: total });
    assert_eq!(seen.last().unwrap(), &Progress { bytes_done: total, bytes_total: total });
    assert!(seen.is_sorted_by_key(|p| p.bytes_done));
}

#[test]
fn a_change_in_a_sampled_block_is_noticed_under_the_same_stamp() {
    let case = Case::new();
    let (first, _) = case.fingerprint();
    let last_byte = std::fs::metadata(&case.path).unwrap().len() - 1;
    case.edit_unseen(last_byte);
    let (second, cached) = case.fingerprint();
    assert!(!cached && second != first);
}

#[test]
fn a_change_between_sampled_blocks_is_found_by_verify_alone() {
    let case = Case::new();
    let (first, _) = case.fingerprint();
    // Block 1 begins near 1/63 of the file (266 KB); block 0 ends at 64 KiB.
    case.edit_unseen(128 << 10);
    assert_eq!(case.fingerprint(), (first, true));
    let model = Model::open(&case.path).unwrap();
    let error = model.verify_fingerprint(&case.cache(), ignore).unwrap_err();
    let Error::FingerprintChanged { expected, got, .. } = error else { panic!("{error}") };
    assert_eq!(expected, first);
    assert_eq!(case.fingerprint(), (got, false));
}

#[test]
fn a_new_time_or_a_new_file_is_hashed_again() {
    let case = Case::new();
    let (first, _) = case.fingerprint();
    let copy = case.dir.path().join("copy");
    std::fs::copy(&case.path, &copy).unwrap();
    std::fs::rename(&copy, &case.path).unwrap();
    assert_eq!(case.fingerprint(), (first, false));
}

#[test]
fn a_damaged_cache_counts_as_none() {
    let case = Case::new();
    let (first, _) = case.fingerprint();
    let cache = std::fs::read_dir(case.cache()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read_to_string(&cache).unwrap();
    let other = whole.replacen("\"fingerprint\":[", "\"fingerprint\":[1", 1);
    for bad in [&whole[..whole.len() / 2], "", "{}", other.as_str()] {
        std::fs::write(&cache, bad).unwrap();
        assert_eq!(case.fingerprint(), (first, false));
        assert_eq!(case.fingerprint(), (first, true));
    }
}

#[test]
fn a_folder_counts_its_config_and_not_its_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let fingerprint =
        || Model::open(dir.path()).unwrap().fingerprint(Path::new(&dir.path().join("c")), ignore).unwrap();
    write("config.json", b"{}");
    write("model.safetensors", &safetensors(&[("a", "F32", &[1], &f32_bytes(&[1.0]))]));
    let first = fingerprint();
    write("tokenizer.json", b"{}");
    assert_eq!(fingerprint(), first);
    write("config.json", b"{ }");
    assert_ne!(fingerprint(), first);
}
