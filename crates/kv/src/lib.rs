//! KV segments on disk: the prefilled keys and values of documents, kept between runs.
//!
//! On the data path this crate sits between prefill, which writes rows into a [`PageBuf`], and attend,
//! which reads them back in any later process. It knows no model and does no maths but the row codec.
//! `FORMAT.md` is the only description of the bytes.

#![forbid(unsafe_code)]

mod cache;
mod checksum;
mod directory;
mod error;
mod header;
pub mod identity;
mod layout;
pub mod page;
mod pool;
mod reader;
pub mod storage;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transfer;
mod writer;

pub use checksum::Checksum;
pub use error::{KvError, Result};
pub use header::FORMAT_VERSION;
pub use identity::{Context, ContextId, RowKind, SegmentId};
pub use layout::{PageOrder, StoredLayer};
pub use page::{Dtype, KEY_GROUP, PAGE_TOKENS, PageBuf, PageShape, hadamard};
pub use reader::Segment;
pub use storage::{Disk, Storage, StoredFile};
pub use store::{Counters, Listed, Store};
pub use transfer::SegmentFile;
pub use writer::{SegmentSpec, Writer};
