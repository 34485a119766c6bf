//! A number of tokens as the KV segments of a document's parts, and their composition from disk.

use super::{scratch::cache_bytes, stop_when_cancelled};
use crate::{
    event::{Meter, Out},
    settings::Settings,
};
use anyhow::{Context, Result};
use kv::{PAGE_TOKENS, SegmentId, SegmentSpec};
use scout::{Engine, PartPages, Sequence};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

pub struct StoredContext {
    root: PathBuf,
    segments: Vec<SegmentId>,
}

pub struct Restored {
    pub sequence: Sequence,
    pub bytes_read: u64,
}

impl StoredContext {
    /// Prefills `ids` in parts behind the header and makes them durable below `folder`.
    pub fn write(engine: &Engine, ids: &[u32], folder: &Path, out: &Out) -> Result<Self> {
        let root = folder.join("kv");
        let store = kv::Store::open(Arc::new(kv::Disk), &root, 0)?;
        let mut meter = Meter::new(out, "prefill", "tokens");
        let (mut segments, mut done) = (Vec::new(), 0);
        meter.report(done, ids.len() as u64);
        for part in ids.chunks(ingest::MAX_PART_TOKENS as usize) {
            // Numbered, so that parts of equal tokens are segments of their own: no page is read twice.
            let context = engine.part_context(&format!("part {}", segments.len()));
            let spec = engine.segment_spec(context, part.to_vec());
            let prefilled = engine.prefill_part(part, &mut |progress| {
                meter.report(done + progress.done, ids.len() as u64);
                if out.cancel.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            stop_when_cancelled(out)?;
            segments.push(spec.id());
            write_segment(&store, spec, &prefilled?)?;
            done += part.len() as u64;
        }
        Ok(Self { root, segments })
    }

    /// Composes all of it with an empty page cache. Bytes come from the system's cache where it holds them.
    pub fn compose(&self, engine: &Engine, settings: &Settings) -> Result<Restored> {
        let store = kv::Store::open(Arc::new(kv::Disk), &self.root, cache_bytes(settings))?;
        let mut sequence = engine.sequence()?;
        for id in &self.segments {
            let segment = store.open_segment(id)?.context("a segment of the measurement is gone")?;
            let pages: Vec<_> =
                (0..segment.n_pages()).map(|page| (page, 0..segment.used_slots(page))).collect();
            engine.compose(&mut sequence, &segment, &pages)?;
        }
        Ok(Restored { sequence, bytes_read: store.counters().bytes_read })
    }

    /// The files that hold it.
    pub fn files(&self) -> Vec<PathBuf> {
        let path = |id: &SegmentId| {
            let name = id.to_string();
            self.root.join("segments").join(&name[..2]).join(format!("{name}.kv"))
        };
        self.segments.iter().map(path).collect()
    }
}

fn write_segment(store: &kv::Store, spec: SegmentSpec, part: &PartPages) -> Result<()> {
    let layers: Vec<u32> = spec.layers.iter().map(|stored| stored.layer).collect();
    let n_pages = part.n_tokens.div_ceil(PAGE_TOKENS as u64);
    let mut writer = store.create(spec)?;
    for page in 0..n_pages {
        for (layer, pages) in layers.iter().zip(&part.pages) {
            writer.push_page(*layer, page, &pages[page as usize])?;
        }
    }
    writer.finish()?;
    Ok(())
}
