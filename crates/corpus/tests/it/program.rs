//! Files on disk and the child that reads them.

use std::path::PathBuf;

use corpus::worker::Worker;
use corpus::{ExtractError, Extracted, Limits};

/// The test child; `how` names a misbehaviour of `worker_program.rs`.
pub fn worker(how: Option<&str>) -> Worker {
    Worker {
        program: env!("CARGO_BIN_EXE_corpus-worker").into(),
        args: how.map(Into::into).into_iter().collect(),
    }
}

/// Writes a file and extracts it in a child.
pub fn extract(name: &str, bytes: &[u8]) -> Result<Extracted, ExtractError> {
    extract_with(name, bytes, &Limits::default(), None)
}

/// As [`extract`], with limits and a misbehaviour.
pub fn extract_with(
    name: &str,
    bytes: &[u8],
    limits: &Limits,
    how: Option<&str>,
) -> Result<Extracted, ExtractError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    corpus::extract::extract(&path, limits, &worker(how))
}

/// A document of the sample corpus.
pub fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/corpus").join(name)
}
