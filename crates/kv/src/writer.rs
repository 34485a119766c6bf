//! Writing a segment: pages go to a temporary file in any order, `finish` makes the whole durable and visible.
//!
//! The order of steps in [`Writer::finish`] is the promise: bytes, sync, rename, sync of the folder. A power
//! cut before the rename leaves a temporary file that the next open removes; after it, a whole segment.

use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::Checksum;
use crate::directory;
use crate::error::{KvError, Result};
use crate::header::Header;
use crate::identity::{ContextId, RowKind, SegmentId};
use crate::layout::{Layout, PageOrder, StoredLayer};
use crate::page::{Dtype, PageBuf, PageShape};
use crate::storage::StoredFile;
use crate::store::{Shared, io_error};

/// What a segment holds; its id follows from this.
#[derive(Debug, Clone)]
pub struct SegmentSpec {
    pub context: ContextId,
    pub row_kind: RowKind,
    pub dtype: Dtype,
    pub order: PageOrder,
    /// The layers kept, ascending.
    pub layers: Vec<StoredLayer>,
    /// The part's own token ids, without the header's.
    pub tokens: Vec<u32>,
}

impl SegmentSpec {
    pub fn id(&self) -> SegmentId {
        SegmentId::of(self.context, self.dtype, self.row_kind, &self.tokens)
    }
}

/// A segment being written. Dropped before `finish`, it leaves nothing.
pub struct Writer {
    shared: Arc<Shared>,
    file: Box<dyn StoredFile>,
    path: PathBuf,
    header: Header,
    tokens: Vec<u32>,
    /// By directory entry; `None` until the page is pushed.
    checksums: Vec<Option<Checksum>>,
    visible: bool,
}

impl Writer {
    pub(crate) fn create(shared: Arc<Shared>, spec: SegmentSpec) -> Result<Self> {
        let layout = Layout::new(spec.dtype, spec.order, &spec.layers, spec.tokens.len() as u64)?;
        let id = spec.id();
        let checksums = vec![None; layout.n_entries() as usize];
        let header = Header { id, context: spec.context, row_kind: spec.row_kind, layout };
        let path = shared.temporary_path(&id);
        let file = shared.create(&path)?;
        Ok(Self { shared, file, path, header, tokens: spec.tokens, checksums, visible: false })
    }

    pub fn id(&self) -> SegmentId {
        self.header.id
    }

    /// Writes one page, in any order, each exactly once. Slots past the part's last token must be zero.
    pub fn push_page(&mut self, layer: u32, page: u64, rows: &PageBuf) -> Result<()> {
        let (id, layout) = (self.header.id, &self.header.layout);
        let span = layout.page(layer, page).ok_or(KvError::NoSuchPage { id, layer, page })?;
        let stored = layout.stored_layer(layer).ok_or(KvError::NoSuchPage { id, layer, page })?;
        if (rows.shape(), rows.dtype()) != (stored.shape, layout.dtype()) {
            let kind = |shape: PageShape, dtype: Dtype| {
                format!("{} heads x {} in {}", shape.n_kv_heads, shape.head_dim, dtype.name())
            };
            let expected = kind(stored.shape, layout.dtype());
            let got = kind(rows.shape(), rows.dtype());
            return Err(KvError::PageKind { id, layer, page, expected, got });
        }
        if !rows.is_zero_from(layout.used_slots(page)) {
            return Err(KvError::UnusedSlots { id, layer, page });
        }
        let checksum = &mut self.checksums[span.entry as usize];
        if checksum.is_some() {
            return Err(KvError::PushedTwice { id, layer, page });
        }
        let bytes = rows.as_bytes();
        self.file.write_at(span.offset, bytes).map_err(|source| io_error("write", &self.path, source))?;
        *checksum = Some(Checksum::of(bytes));
        Ok(())
    }

    /// Makes the segment durable, then visible. Once this returns `Ok`, no power cut loses it.
    pub fn finish(mut self) -> Result<SegmentId> {
        let id = self.header.id;
        let front = self.front()?;
        self.file.write_at(0, &front).map_err(|source| io_error("write", &self.path, source))?;
        self.file.sync().map_err(|source| io_error("sync", &self.path, source))?;
        let (folder, path) = (self.shared.ensure_fan_out(&id)?, self.shared.segment_path(&id));
        let renamed = self.shared.storage.rename(&self.path, &path);
        renamed.map_err(|source| io_error("rename into place", &path, source))?;
        self.visible = true;
        self.shared.sync_dir(&folder)?;
        Ok(id)
    }

    /// Header, token ids and directory, with padding up to the first page.
    fn front(&self) -> Result<Vec<u8>> {
        let layout = &self.header.layout;
        let whole: Vec<Checksum> = self.checksums.iter().filter_map(|checksum| *checksum).collect();
        let n_missing = (self.checksums.len() - whole.len()) as u64;
        let missing = layout.entries().zip(&self.checksums).find(|(_, checksum)| checksum.is_none());
        if let Some(((layer, page), _)) = missing {
            return Err(KvError::PagesMissing { id: self.header.id, layer, page, n_missing });
        }
        let mut front = self.header.encode();
        let tokens: Vec<u8> = self.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        front.extend(&tokens);
        front.extend(Checksum::of(&tokens).0);
        front.extend(directory::encode(layout, &whole));
        front.resize(layout.pages_at() as usize, 0);
        Ok(front)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.visible {
            // What cannot be removed now is removed when the store is next opened.
            let _ = self.shared.storage.remove(&self.path);
        }
    }
}
