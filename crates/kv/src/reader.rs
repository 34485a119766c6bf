//! Reading a segment: all before the first page is checked when it is opened, each page when it is read.
//!
//! Attend asks for pages; they come from the page cache or, in runs that lie together, by one read each.

use std::io::IoSliceMut;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cache::PageKey;
use crate::checksum::{CHECKSUM_BYTES, Checksum};
use crate::directory;
use crate::error::{KvError, Result};
use crate::header::{Header, MAX_HEADER_BYTES, check_region};
use crate::identity::{ContextId, RowKind, SegmentId};
use crate::layout::{PageOrder, PageSpan, StoredLayer};
use crate::page::{Dtype, PAGE_TOKENS, PageBuf};
use crate::pool::PooledFile;
use crate::storage::StoredFile;
use crate::store::{Shared, io_error};

/// Longest run of pages fetched by one read.
const RUN_BYTES: u64 = 4 << 20;

/// An immutable segment whose head has been read; its file is open while it is read, and as long as there is room for it.
/// Cheap to share between threads behind an `Arc`.
pub struct Segment {
    shared: Arc<Shared>,
    pub(crate) file: PooledFile,
    header: Header,
    tokens: Box<[u32]>,
    checksums: Box<[Checksum]>,
    /// Bytes that this opening of the segment has read.
    read: AtomicU64,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({}, {} tokens)", self.id(), self.n_tokens())
    }
}

/// A page that the cache does not hold: its place in the answer, in the model and in the file.
struct Missing {
    slot: usize,
    key: PageKey,
    span: PageSpan,
}

impl Segment {
    pub(crate) fn open(shared: Arc<Shared>, file: PooledFile, id: SegmentId) -> Result<Self> {
        let (open, path) = (file.file()?, file.path().to_owned());
        let file_len = open.len().map_err(|source| io_error("get the length of", &path, source))?;
        let front = read_range(&shared, &*open, &path, 0, file_len.min(MAX_HEADER_BYTES))?;
        let header = Header::decode(&path, &front, file_len)?;
        if header.id != id {
            return Err(KvError::WrongSegment { path, expected: id, got: header.id });
        }
        let layout = &header.layout;
        // The header's sizes add up to the file's real length, so none of these reads is longer than the file.
        let read = AtomicU64::new(front.len() as u64 + layout.pages_at() - layout.tokens_at());
        let region = |from: u64, to: u64| read_range(&shared, &*open, &path, from, to - from);
        let tokens =
            decode_tokens(&path, layout.tokens_at(), &region(layout.tokens_at(), layout.directory_at())?)?;
        let directory = region(layout.directory_at(), layout.directory_end())?;
        let checksums = directory::decode(&path, layout, &directory)?;
        let padding = region(layout.directory_end(), layout.pages_at())?;
        if let Some((&got, offset)) =
            padding.iter().zip(layout.directory_end()..).find(|(byte, _)| **byte != 0)
        {
            return Err(KvError::Padding { path, offset, got });
        }
        let got = SegmentId::of(header.context, layout.dtype(), header.row_kind, &tokens);
        if got != id {
            return Err(KvError::Identity { path, expected: id, got });
        }
        Ok(Self { shared, file, header, tokens, checksums, read })
    }

    pub fn id(&self) -> SegmentId {
        self.header.id
    }

    pub fn context(&self) -> ContextId {
        self.header.context
    }

    pub fn row_kind(&self) -> RowKind {
        self.header.row_kind
    }

    pub fn dtype(&self) -> Dtype {
        self.header.layout.dtype()
    }

    pub fn order(&self) -> PageOrder {
        self.header.layout.order()
    }

    pub fn layers(&self) -> &[StoredLayer] {
        self.header.layout.layers()
    }

    /// The part's token ids.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    pub fn n_tokens(&self) -> u64 {
        self.header.layout.n_tokens()
    }

    pub fn n_pages(&self) -> u64 {
        self.header.layout.n_pages()
    }

    /// Slots of `page` that hold a token; the rest are zero and must be masked.
    pub fn used_slots(&self, page: u64) -> usize {
        self.header.layout.used_slots(page)
    }

    pub fn file_bytes(&self) -> u64 {
        self.header.layout.file_len()
    }

    /// Bytes read from disk for whoever opened the segment; what the cache held is not among them.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// One page, checked.
    pub fn page(&self, layer: u32, page: u64) -> Result<Arc<PageBuf>> {
        let (key, span) = self.locate(layer, page)?;
        if let Some(cached) = self.cached(&key) {
            return Ok(cached);
        }
        let mut rows = self.zeroed(layer)?;
        self.read_into(span.offset, &mut [IoSliceMut::new(rows.as_bytes_mut())])?;
        self.admit(key, span, rows)
    }

    /// The pages of several layers, checked: all `pages` of the first layer, then of the next. Pages that the
    /// cache lacks and that lie together are fetched by one read.
    pub fn pages(&self, layers: &[u32], pages: &[u64]) -> Result<Vec<Arc<PageBuf>>> {
        let mut found = Vec::with_capacity(layers.len() * pages.len());
        let mut missing = Vec::new();
        for &layer in layers {
            for &page in pages {
                let (key, span) = self.locate(layer, page)?;
                let cached = self.cached(&key);
                if cached.is_none() {
                    missing.push(Missing { slot: found.len(), key, span });
                }
                found.push(cached);
            }
        }
        missing.sort_by_key(|missing| missing.span.offset);
        let touching = |a: &Missing, b: &Missing| a.span.offset + a.span.length == b.span.offset;
        for stretch in missing.chunk_by(touching) {
            let per_read = (RUN_BYTES / stretch[0].span.length).max(1) as usize;
            for run in stretch.chunks(per_read) {
                self.read_run(run, &mut found)?;
            }
        }
        Ok(found.into_iter().map(|page| page.expect("every page was cached or read")).collect())
    }

    /// Brings pages into the cache, as far as its budget goes.
    pub fn prefetch(&self, layers: &[u32], pages: &[u64]) -> Result<()> {
        self.pages(layers, pages).map(drop)
    }

    /// Reads every page from disk, past the cache, and checks it.
    pub(crate) fn verify(&self) -> Result<()> {
        for (layer, page) in self.header.layout.entries() {
            let (key, span) = self.locate(layer, page)?;
            let mut rows = self.zeroed(layer)?;
            self.read_into(span.offset, &mut [IoSliceMut::new(rows.as_bytes_mut())])?;
            self.check(key, span, &rows)?;
        }
        Ok(())
    }

    /// Pages that lie together, by one read that puts each where it stays.
    fn read_run(&self, run: &[Missing], found: &mut [Option<Arc<PageBuf>>]) -> Result<()> {
        let Some(first) = run.first() else { return Ok(()) };
        let pages: Result<Vec<PageBuf>> = run.iter().map(|missing| self.zeroed(missing.key.layer)).collect();
        let mut pages = pages?;
        let mut bufs: Vec<_> = pages.iter_mut().map(|page| IoSliceMut::new(page.as_bytes_mut())).collect();
        self.read_into(first.span.offset, &mut bufs)?;
        for (&Missing { slot, key, span }, page) in run.iter().zip(pages) {
            found[slot] = Some(self.admit(key, span, page)?);
        }
        Ok(())
    }

    fn locate(&self, layer: u32, page: u64) -> Result<(PageKey, PageSpan)> {
        let id = self.id();
        let span = self.header.layout.page(layer, page).ok_or(KvError::NoSuchPage { id, layer, page })?;
        Ok((PageKey { segment: id, layer, page, checksum: self.checksums[span.entry as usize] }, span))
    }

    fn zeroed(&self, layer: u32) -> Result<PageBuf> {
        let stored = self.header.layout.stored_layer(layer);
        let stored = stored.ok_or(KvError::NoSuchPage { id: self.id(), layer, page: 0 })?;
        Ok(PageBuf::new(stored.shape, self.dtype()))
    }

    fn cached(&self, key: &PageKey) -> Option<Arc<PageBuf>> {
        let cached = self.shared.cache.get(key);
        let counter = if cached.is_some() { &self.shared.hits } else { &self.shared.misses };
        counter.fetch_add(1, Relaxed);
        cached
    }

    /// No page reaches the cache, or attend, unchecked.
    fn admit(&self, key: PageKey, span: PageSpan, rows: PageBuf) -> Result<Arc<PageBuf>> {
        self.check(key, span, &rows)?;
        let rows = Arc::new(rows);
        self.shared.cache.insert(key, Arc::clone(&rows));
        Ok(rows)
    }

    fn check(&self, key: PageKey, span: PageSpan, rows: &PageBuf) -> Result<()> {
        let PageKey { layer, page, checksum, .. } = key;
        let what = format_args!("layer {layer} page {page}");
        check_region(self.file.path(), what, span.offset, rows.as_bytes(), checksum)?;
        let used = self.used_slots(page);
        match rows.is_well_formed() && (used == PAGE_TOKENS || rows.is_zero_from(used)) {
            true => Ok(()),
            false => Err(KvError::PageContent {
                path: self.file.path().to_owned(),
                layer,
                page,
                offset: span.offset,
            }),
        }
    }

    fn read_into(&self, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> Result<()> {
        let n = fill(&self.shared, &*self.file.file()?, self.file.path(), offset, bufs)?;
        self.read.fetch_add(n, Relaxed);
        Ok(())
    }
}

fn decode_tokens(path: &Path, offset: u64, bytes: &[u8]) -> Result<Box<[u32]>> {
    let (tokens, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_BYTES));
    let mut expected = [0; CHECKSUM_BYTES];
    expected.copy_from_slice(checksum);
    check_region(path, "the token ids", offset, tokens, Checksum(expected))?;
    Ok(tokens.as_chunks::<4>().0.iter().map(|token| u32::from_le_bytes(*token)).collect())
}

fn read_range(shared: &Shared, file: &dyn StoredFile, path: &Path, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    fill(shared, file, path, offset, &mut [IoSliceMut::new(&mut bytes)])?;
    Ok(bytes)
}

/// Fills all of `bufs` and gives their length together.
fn fill(
    shared: &Shared,
    file: &dyn StoredFile,
    path: &Path,
    offset: u64,
    bufs: &mut [IoSliceMut<'_>],
) -> Result<u64> {
    let expected: u64 = bufs.iter().map(|buf| buf.len() as u64).sum();
    let got = file.read_parts_at(offset, bufs).map_err(|source| io_error("read", path, source))? as u64;
    shared.reads.fetch_add(1, Relaxed);
    shared.bytes_read.fetch_add(got, Relaxed);
    match got == expected {
        true => Ok(expected),
        false => Err(KvError::Truncated { path: path.into(), offset, expected, got }),
    }
}
