//! Everything that can go wrong between a row in memory and a byte on disk, with the numbers needed to act on it.

use std::path::{Path, PathBuf};

use crate::checksum::Checksum;
use crate::identity::SegmentId;

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    #[error(
        "{row} row of head {head} holds {value} at dimension {dim}, which {dtype} cannot store: it is not finite or too large"
    )]
    NotFinite { row: &'static str, head: usize, dim: usize, value: f32, dtype: &'static str },

    #[error("a page of this shape is {expected} bytes, got {got}")]
    PageLength { expected: usize, got: usize },

    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },

    #[error(
        "cannot open {}: {source}; let the process have more files open (ulimit -n, or LimitNOFILE of a service) or do \
         less at a time", path.display()
    )]
    TooManyFiles { path: PathBuf, source: std::io::Error },

    #[error("{} was removed while it was in use; ask again", path.display())]
    Gone { path: PathBuf },

    #[error("{} ends too early: {expected} bytes wanted at offset {offset}, got {got}", path.display())]
    Truncated { path: PathBuf, offset: u64, expected: u64, got: u64 },

    #[error("{} is no KV segment: it starts with {got:02x?}", path.display())]
    Magic { path: PathBuf, got: [u8; 8] },

    #[error("{} has format version {got}, this program reads version {expected}: rebuild the segment", path.display())]
    Version { path: PathBuf, expected: u32, got: u32 },

    #[error("{}: {field} at offset {offset} is {got}, want {want}", path.display())]
    Field { path: PathBuf, field: &'static str, offset: u64, got: u64, want: &'static str },

    #[error("{}: checksum of {what} at offset {offset} is {got}, want {expected}", path.display())]
    Checksum { path: PathBuf, what: String, offset: u64, expected: Checksum, got: Checksum },

    #[error("{} is {got} bytes long, its header says {expected}", path.display())]
    FileLength { path: PathBuf, expected: u64, got: u64 },

    #[error("{} should hold segment {expected} but holds {got}", path.display())]
    WrongSegment { path: PathBuf, expected: SegmentId, got: SegmentId },

    #[error("{}: what its header and token ids hash to, {got}, is not the id in the header, {expected}", path.display())]
    Identity { path: PathBuf, expected: SegmentId, got: SegmentId },

    #[error(
        "{}: directory places layer {layer} page {page} at {got:?} (offset, length), its header at {expected:?}",
        path.display()
    )]
    DirectoryEntry { path: PathBuf, layer: u32, page: u64, expected: (u64, u64), got: (u64, u64) },

    #[error("{}: byte {offset} is {got:#04x}, padding must be zero", path.display())]
    Padding { path: PathBuf, offset: u64, got: u8 },

    #[error("{}: layer {layer} page {page} at offset {offset} holds numbers no row can have stored", path.display())]
    PageContent { path: PathBuf, layer: u32, page: u64, offset: u64 },

    #[error("segment {id} keeps no layer {layer} page {page}")]
    NoSuchPage { id: SegmentId, layer: u32, page: u64 },

    #[error("a segment's {field} is {got}, want {want}")]
    Spec { field: &'static str, got: u64, want: &'static str },

    #[error("layer {layer} page {page} is {got}, segment {id} keeps {expected} there")]
    PageKind { id: SegmentId, layer: u32, page: u64, expected: String, got: String },

    #[error(
        "layer {layer} page {page} of segment {id} has rows past its last token: unused slots must be zero"
    )]
    UnusedSlots { id: SegmentId, layer: u32, page: u64 },

    #[error("layer {layer} page {page} of segment {id} was pushed twice")]
    PushedTwice { id: SegmentId, layer: u32, page: u64 },

    #[error("segment {id} lacks {n_missing} pages, first layer {layer} page {page}: push all before finish")]
    PagesMissing { id: SegmentId, layer: u32, page: u64, n_missing: u64 },

    #[error("{text:?} is no segment id: want 64 lower-case hex digits")]
    SegmentName { text: String },
}

impl KvError {
    /// Whether the stored bytes are at fault, or gone: such a segment is set aside and rebuilt from the text. Anything
    /// else is a mistake of the caller or a system that did not answer, and says nothing about the file.
    pub fn is_damage(&self) -> bool {
        self.damaged_file().is_some()
    }

    /// The segment whose stored bytes are at fault or gone, by the name of its file.
    pub fn damaged_segment(&self) -> Option<SegmentId> {
        self.damaged_file()?.file_stem()?.to_str()?.parse().ok()
    }

    fn damaged_file(&self) -> Option<&Path> {
        match self {
            Self::Gone { path }
            | Self::Truncated { path, .. }
            | Self::Magic { path, .. }
            | Self::Version { path, .. }
            | Self::Field { path, .. }
            | Self::Checksum { path, .. }
            | Self::FileLength { path, .. }
            | Self::WrongSegment { path, .. }
            | Self::Identity { path, .. }
            | Self::DirectoryEntry { path, .. }
            | Self::Padding { path, .. }
            | Self::PageContent { path, .. } => Some(path),
            Self::NotFinite { .. }
            | Self::PageLength { .. }
            | Self::Io { .. }
            | Self::TooManyFiles { .. }
            | Self::NoSuchPage { .. }
            | Self::Spec { .. }
            | Self::PageKind { .. }
            | Self::UnusedSlots { .. }
            | Self::PushedTwice { .. }
            | Self::PagesMissing { .. }
            | Self::SegmentName { .. } => None,
        }
    }
}

pub type Result<T> = std::result::Result<T, KvError>;
