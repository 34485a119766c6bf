//! The index folder: its schema, its stamp, and the checks that make a stale or damaged one a typed error.

use std::{
    fmt, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use base::Id;
use serde::{Deserialize, Serialize};
use tantivy::{
    IndexReader, ReloadPolicy,
    schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
};

use crate::{Error, Result};

/// Raised whenever schema, analyser or the size of segments change.
const FORMAT: u32 = 2;

/// What an index was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    corpus: String,
    corpus_version: u64,
    format: u32,
}

impl Stamp {
    pub fn new(corpus: &Id, corpus_version: u64) -> Self {
        Self { corpus: corpus.to_string(), corpus_version, format: FORMAT }
    }

    /// What an index says it was built from, nothing of it being checked; `None`: it says nothing that can be read.
    pub fn of(path: &Path) -> Option<Self> {
        let meta: serde_json::Value = serde_json::from_slice(&fs::read(path.join("meta.json")).ok()?).ok()?;
        serde_json::from_str(meta["payload"].as_str()?).ok()
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {} (index format {})", self.corpus, self.corpus_version, self.format)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub version: Field,
    pub idx: Field,
    pub body: Field,
    pub heading: Field,
    pub title: Field,
}

/// An open index; searches see the last commit.
pub struct Index {
    pub(crate) inner: tantivy::Index,
    pub(crate) reader: IndexReader,
    pub(crate) fields: Fields,
    pub(crate) path: PathBuf,
}

impl Index {
    /// Opens an index built from exactly `stamp`; every file's checksum is read.
    ///
    /// Errors: [`Error::Stale`] when there is none or it was built from something else, [`Error::Damaged`].
    pub fn open(path: &Path, stamp: &Stamp) -> Result<Self> {
        let stale = |found| Error::Stale { path: path.to_owned(), expected: stamp.clone(), found };
        if !path.join("meta.json").exists() {
            return Err(stale(None));
        }
        // The library panics on some malformed files; they are bytes from disk, so that is damage like any other.
        let (index, found) = catch_unwind(AssertUnwindSafe(|| Self::open_checked(path)))
            .unwrap_or_else(|_| Err(damaged(path, "unreadable files")))?;
        match found {
            Some(found) if found == *stamp => Ok(index),
            found => Err(stale(found)),
        }
    }

    /// Deletes whatever is at `path` and makes an empty, unstamped index there.
    pub fn create(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
            _ => fs::create_dir_all(path).map_err(io)?,
        }
        let inner = tantivy::Index::create_in_dir(path, schema().0)
            .map_err(|source| Error::Index { path: path.to_owned(), source })?;
        Self::with_reader(path, inner)
    }

    fn open_checked(path: &Path) -> Result<(Self, Option<Stamp>)> {
        let inner = tantivy::Index::open_in_dir(path).map_err(|e| damaged(path, e))?;
        let bad = inner.validate_checksum().map_err(|e| damaged(path, e))?;
        if !bad.is_empty() {
            return Err(damaged(path, format!("checksum of {} files", bad.len())));
        }
        let metas = inner.load_metas().map_err(|e| damaged(path, e))?;
        let found = metas.payload.and_then(|payload| serde_json::from_str(&payload).ok());
        if inner.schema() != schema().0 {
            return Err(damaged(path, "unknown schema"));
        }
        Ok((Self::with_reader(path, inner)?, found))
    }

    fn with_reader(path: &Path, inner: tantivy::Index) -> Result<Self> {
        let reader = inner
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(|e: tantivy::TantivyError| damaged(path, e))?;
        Ok(Self { inner, reader, fields: schema().1, path: path.to_owned() })
    }

    pub(crate) fn error(&self, source: tantivy::TantivyError) -> Error {
        Error::Index { path: self.path.clone(), source }
    }
}

fn damaged(path: &Path, detail: impl ToString) -> Error {
    Error::Damaged { path: path.to_owned(), detail: detail.to_string() }
}

/// Text fields hold terms with frequencies and lengths (what BM25 needs) and no text.
fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let text = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default().set_tokenizer("raw").set_index_option(IndexRecordOption::WithFreqs),
    );
    let fields = Fields {
        version: builder.add_u64_field("version", FAST | INDEXED),
        idx: builder.add_u64_field("idx", FAST),
        body: builder.add_text_field("body", text.clone()),
        heading: builder.add_text_field("heading", text.clone()),
        title: builder.add_text_field("title", text),
    };
    (builder.build(), fields)
}
