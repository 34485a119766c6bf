//! One document's parts → KV segments on disk. A segment that exists under its identity is never computed again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use catalog::{Digest, Document, NewPart, VersionId};
use kv::SegmentSpec;
use scout::PartPages;
use tokio::sync::mpsc;

use crate::{
    Error, Ingest, Result,
    parts::{PlannedPart, plan_parts},
    pipeline::Watch,
    progress::Meter,
    stores::blocking,
};

/// Tells the computing thread to stop at its next tile when nobody waits for it any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Ingest {
    /// Prefills what a document still lacks; returns the tokens computed, document headers included.
    pub(crate) async fn prefill_document(
        &self,
        document: &Document,
        meter: &mut Meter,
        watch: &mut Watch<'_>,
    ) -> Result<u64> {
        let version = document.version.id;
        let planned = self.plan_again(document).await?;
        let new: Vec<NewPart> = planned.iter().map(PlannedPart::new_part).collect();
        let mut parts = self.stores.catalog.parts(version).await?;
        if !parts.iter().map(|part| (part.tokens, part.segment)).eq(new.iter().map(|n| (n.tokens, n.segment)))
        {
            // The parts were planned before the engine's numerics or header changed.
            parts = self.stores.catalog.register_parts(version, &new).await?;
        }
        let mut computed = 0;
        for (part, planned) in parts.iter().zip(planned).filter(|(part, _)| !part.ready) {
            computed += self.fill_segment(planned.spec, meter, watch).await?;
            meter.add(part.tokens.len());
            watch.tell(meter.progress(0)).await?;
        }
        Ok(computed)
    }

    /// Computes a damaged or lost segment again from the stored text: the same bytes as before. The damaged file is
    /// set aside. Must not be called while holding the engine's gate, to which prefill gives way.
    ///
    /// Errors: [`Error::OtherSegment`] when the open model would compute something else.
    pub async fn rebuild_segment(&self, version: VersionId, part: u64) -> Result<()> {
        let document = self.stores.catalog.version(version).await?;
        let no_such_part = || Error::NoSuchPart { document: document.path.clone(), part };
        let stored = self.stores.catalog.parts(version).await?;
        let expected = stored.iter().find(|p| p.idx == part).ok_or_else(no_such_part)?.segment;
        let planned = self.plan_again(&document).await?;
        let planned = planned.into_iter().nth(part as usize).ok_or_else(no_such_part)?;
        let got = planned.new_part().segment;
        if got != expected {
            return Err(Error::OtherSegment { document: document.path, part, expected, got });
        }
        {
            let _changing = self.stores.library.changing.lock().await;
            let (kv, id) = (self.stores.kv.clone(), planned.spec.id());
            blocking(move || kv.set_aside(&id, "damaged")).await??;
            self.stores.catalog.forget_segment(expected).await?;
        }
        let mut meter = Meter::new(crate::Stage::Prefill, 0, planned.tokens.len());
        self.fill_segment(planned.spec, &mut meter, &mut Watch::silent()).await.map(drop)
    }

    /// The parts of a document as this engine makes them, from the stored text.
    async fn plan_again(&self, document: &Document) -> Result<Vec<PlannedPart>> {
        let Some(stored) = document.version.stored else { return Ok(Vec::new()) };
        let passages = self.stores.catalog.passages(document.version.id).await?;
        let (library, engine) = (self.stores.library.clone(), self.engine.clone());
        let (path, title) = (document.path.clone(), document.version.title.clone());
        blocking(move || {
            let text = library.document_text(&stored)?;
            plan_parts(&engine, &title, &text.token_ids, &passages)
                .map_err(|source| Error::Tokens { document: path, source })
        })
        .await?
    }

    /// Makes one segment durable and registered; returns the tokens computed, 0 when it was on disk.
    async fn fill_segment(&self, spec: SegmentSpec, meter: &mut Meter, watch: &mut Watch<'_>) -> Result<u64> {
        if self.register_found(&spec).await? {
            return Ok(0);
        }
        let n_tokens = spec.tokens.len() as u64;
        let pages = self.compute(spec.tokens.clone(), meter, watch).await?;
        let digest = Digest(spec.id().0);
        let kv = self.stores.kv.clone();
        let _changing = self.stores.library.changing.lock().await;
        let bytes = blocking(move || write_segment(&kv, spec, &pages)).await??;
        self.stores.catalog.register_segment(digest, bytes).await?;
        Ok(n_tokens)
    }

    /// A segment that was finished just before its process ended is on disk but not in the catalog.
    async fn register_found(&self, spec: &SegmentSpec) -> Result<bool> {
        let _changing = self.stores.library.changing.lock().await;
        let (kv, id) = (self.stores.kv.clone(), spec.id());
        let found = blocking(move || {
            match kv.verify(&id) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.is_damage() => return kv.set_aside(&id, "damaged").map(|_| None),
                Err(error) => return Err(error),
            }
            Ok(kv.open_segment(&id)?.map(|segment| segment.file_bytes()))
        })
        .await??;
        if let Some(bytes) = found {
            self.stores.catalog.register_segment(Digest(id.0), bytes).await?;
        }
        Ok(found.is_some())
    }

    /// Prefills on a thread of its own and reports meanwhile.
    async fn compute(&self, ids: Vec<u32>, meter: &Meter, watch: &mut Watch<'_>) -> Result<PartPages> {
        let (report, mut reports) = mpsc::unbounded_channel();
        let stop = Stop(Arc::default());
        let (engine, stopped) = (self.engine.clone(), stop.0.clone());
        let mut work = tokio::task::spawn_blocking(move || {
            engine.prefill_part(&ids, &mut |progress| {
                // Nobody listens any more once the ingest was dropped; `stopped` says so too.
                let _ = report.send(progress.done);
                if stopped.load(Relaxed) {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            })
        });
        let mut tick = tokio::time::interval(Watch::PERIOD);
        let mut ahead = 0;
        loop {
            tokio::select! {
                done = &mut work => return Ok(done.map_err(|e| Error::Task { detail: e.to_string() })??),
                Some(done) = reports.recv() => ahead = done,
                _ = tick.tick() => watch.tell(meter.progress(ahead)).await?,
            }
        }
    }
}

fn write_segment(kv: &kv::Store, spec: SegmentSpec, pages: &PartPages) -> Result<u64> {
    let layers: Vec<u32> = spec.layers.iter().map(|stored| stored.layer).collect();
    let id = spec.id();
    let mut writer = kv.create(spec)?;
    // Page by page over all layers: the order in which they lie in the file.
    for page in 0..pages.pages.first().map_or(0, Vec::len) {
        for (layer, rows) in layers.iter().zip(&pages.pages) {
            writer.push_page(*layer, page as u64, &rows[page])?;
        }
    }
    writer.finish()?;
    let written = kv.open_segment(&id)?;
    Ok(written.expect("a segment that was just finished is there").file_bytes())
}
