//! Why an index cannot be used; both [`Error::Stale`] and [`Error::Damaged`] are cured by building it again.

use std::path::PathBuf;

use crate::Stamp;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the passage index {path} is not that of {expected}: found {}", found.as_ref().map_or("none".into(), Stamp::to_string))]
    Stale { path: PathBuf, expected: Stamp, found: Option<Stamp> },
    #[error("the passage index {path} is damaged ({detail}); it has to be built again")]
    Damaged { path: PathBuf, detail: String },
    #[error("cannot write the passage index {path}: {source}; check free disk space and permissions")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "file {path} of a passage index may hold words of what was removed, and cannot be deleted; check permissions"
    )]
    Left { path: PathBuf },
    #[error("passage index {path}: {source}")]
    Index { path: PathBuf, source: tantivy::TantivyError },
}
