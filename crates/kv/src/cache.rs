//! The page cache: verified pages in memory, under a budget in bytes, least recently used out first.
//!
//! Shared by all threads and all open segments. It is cut into shards by key, each with its own lock and its
//! share of the budget, so that threads that attend over different pages seldom wait for each other.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::checksum::Checksum;
use crate::identity::SegmentId;
use crate::page::PageBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub segment: SegmentId,
    pub layer: u32,
    pub page: u64,
    /// A segment that was made again may have other rows than the one before it, and readers of either may be at work.
    pub checksum: Checksum,
}

/// Shards are made only while each can hold this much.
const SHARD_BYTES: u64 = 16 << 20;
const MAX_SHARDS: u64 = 16;

pub(crate) struct PageCache {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_budget: u64,
}

#[derive(Default)]
struct Shard {
    pages: HashMap<PageKey, Cached>,
    /// Use time → key; the first is the page unused for longest.
    by_use: BTreeMap<u64, PageKey>,
    clock: u64,
    bytes: u64,
}

struct Cached {
    page: Arc<PageBuf>,
    used_at: u64,
}

impl PageCache {
    pub fn new(budget_bytes: u64) -> Self {
        let n_shards = (budget_bytes / SHARD_BYTES).clamp(1, MAX_SHARDS);
        Self {
            shards: (0..n_shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_budget: budget_bytes / n_shards,
        }
    }

    pub fn get(&self, key: &PageKey) -> Option<Arc<PageBuf>> {
        self.shard(key).touch(key)
    }

    /// Keeps a page, unless it alone is over a shard's budget.
    pub fn insert(&self, key: PageKey, page: Arc<PageBuf>) {
        let bytes = page.as_bytes().len() as u64;
        if bytes > self.shard_budget {
            return;
        }
        let mut shard = self.shard(&key);
        shard.remove(&key);
        while shard.bytes + bytes > self.shard_budget {
            let (_, oldest) = shard.by_use.pop_first().expect("a shard with bytes has pages");
            shard.remove(&oldest);
        }
        shard.add(key, page, bytes);
    }

    /// Forgets all pages of a segment.
    pub fn forget(&self, segment: &SegmentId) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let keys: Vec<_> = shard.pages.keys().filter(|key| key.segment == *segment).copied().collect();
            keys.iter().for_each(|key| shard.remove(key));
        }
    }

    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).bytes).sum()
    }

    fn shard(&self, key: &PageKey) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(key) % self.shards.len() as u64;
        lock(&self.shards[at as usize])
    }
}

/// A thread that panicked held no half-made page: entries are whole before they are added.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn touch(&mut self, key: &PageKey) -> Option<Arc<PageBuf>> {
        let cached = self.pages.get_mut(key)?;
        self.by_use.remove(&cached.used_at);
        self.clock += 1;
        cached.used_at = self.clock;
        self.by_use.insert(self.clock, *key);
        Some(Arc::clone(&cached.page))
    }

    fn add(&mut self, key: PageKey, page: Arc<PageBuf>, bytes: u64) {
        self.clock += 1;
        self.by_use.insert(self.clock, key);
        self.pages.insert(key, Cached { page, used_at: self.clock });
        self.bytes += bytes;
    }

    fn remove(&mut self, key: &PageKey) {
        if let Some(cached) = self.pages.remove(key) {
            self.by_use.remove(&cached.used_at);
            self.bytes -= cached.page.as_bytes().len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Dtype, PageShape};

    const SHAPE: PageShape = PageShape { n_kv_heads: 1, head_dim: 4 };
    const PAGE_BYTES: u64 = 1024;

    fn key(segment: u8, page: u64) -> PageKey {
        PageKey { segment: SegmentId([segment; 32]), layer: 0, page, checksum: Checksum::of(&[]) }
    }

    fn page() -> Arc<PageBuf> {
        Arc::new(PageBuf::new(SHAPE, Dtype::Int8))
    }

    #[test]
    fn the_page_unused_for_longest_goes_first_and_the_budget_holds() {
        let cache = PageCache::new(3 * PAGE_BYTES);
        (0..3).for_each(|at| cache.insert(key(1, at), page()));
        assert_eq!(cache.bytes(), 3 * PAGE_BYTES);
        assert!(cache.get(&key(1, 0)).is_some());
        cache.insert(key(1, 3), page());
        assert!(cache.get(&key(1, 1)).is_none(), "page 1 was the oldest");
        assert!([0, 2, 3].iter().all(|&at| cache.get(&key(1, at)).is_some()));
        cache.insert(key(1, 3), page());
        assert_eq!(cache.bytes(), 3 * PAGE_BYTES, "a page kept twice counts once");
    }

    #[test]
    fn a_page_over_the_budget_is_not_kept() {
        let cache = PageCache::new(PAGE_BYTES - 1);
        cache.insert(key(1, 0), page());
        assert!(cache.get(&key(1, 0)).is_none() && cache.bytes() == 0);
    }

    #[test]
    fn forgetting_a_segment_leaves_the_others() {
        let cache = PageCache::new(1 << 30);
        assert_eq!(cache.shards.len() as u64, MAX_SHARDS);
        for at in 0..50 {
            cache.insert(key(1, at), page());
            cache.insert(key(2, at), page());
        }
        cache.forget(&SegmentId([1; 32]));
        assert_eq!(cache.bytes(), 50 * PAGE_BYTES);
        assert!((0..50).all(|at| cache.get(&key(1, at)).is_none() && cache.get(&key(2, at)).is_some()));
    }
}
