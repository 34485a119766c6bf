//! One document's parts → KV segments on disk. A segment that exists under its identity is never computed again. While
//! one segment is written the next is computed.

use std::pin::pin;

use catalog::{Corpus, Digest, Document, NewPart, State, VersionId};
use kv::SegmentSpec;
use scout::PartPages;

use crate::{
    Error, Ingest, Result, Stage,
    parts::{PlannedPart, plan_parts},
    progress::Meter,
    stores::blocking,
    watch::{Listener, Watch},
};

/// A segment that was missing or set aside as damaged and was computed again from the stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Path of its document.
    pub path: String,
    /// The document's own tokens in it.
    pub tokens: u64,
}

/// Most KV of a segment that waits to be written while the next one is computed; a larger one is written first.
pub const MAX_UNWRITTEN_BYTES: u64 = 64 << 20;

/// A segment that was computed and is not on disk yet.
pub(crate) struct Unwritten {
    /// The document version that needs it.
    version: VersionId,
    spec: SegmentSpec,
    pages: PartPages,
}

impl Ingest {
    /// Prefills what a document still lacks; returns the tokens computed, document headers included. The last segment
    /// stays in `unwritten`, for [`Self::write`] or for the next document, which computes beside the writing.
    pub(crate) async fn prefill_document(
        &self,
        document: &Document,
        unwritten: &mut Option<Unwritten>,
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
            computed += self.compute_segment(version, planned.spec, unwritten, meter, watch).await?;
            // Also while its segment is still unwritten: a stop does not lose it.
            meter.add(part.tokens.len());
            watch.tell(meter.progress(0)).await?;
        }
        Ok(computed)
    }

    /// Computes again what `verify` set aside: every segment that a readable document of the corpus needs and lacks.
    pub(crate) async fn repair(&self, corpus: &Corpus, watch: &mut Watch<'_>) -> Result<Vec<Repaired>> {
        let catalog = &self.stores.catalog;
        let mut lost = Vec::new();
        for document in catalog.documents(&corpus.id, u64::MAX).await? {
            if document.version.state == State::Ready {
                let parts = catalog.parts(document.version.id).await?;
                let missing = parts.into_iter().filter(|part| !part.ready);
                lost.extend(missing.map(|part| (document.version.id, document.path.clone(), part)));
            }
        }
        let mut meter =
            Meter::new(Stage::Prefill, 0, lost.iter().map(|(_, _, part)| part.tokens.len()).sum());
        let mut repaired = Vec::new();
        for (version, path, part) in lost {
            self.rebuild(version, part.idx, &mut meter, watch).await?;
            meter.add(part.tokens.len());
            watch.tell(meter.progress(0)).await?;
            repaired.push(Repaired { path, tokens: part.tokens.len() });
        }
        Ok(repaired)
    }

    /// Computes a damaged or lost segment again from the stored text: the same bytes as before. The damaged file is
    /// set aside. False when there was a sound one: somebody else has done it meanwhile.
    ///
    /// Errors: [`Error::OtherSegment`] when the open model would compute something else; [`Error::Interrupted`] when
    /// `progress` says so.
    pub async fn rebuild_segment(
        &self,
        version: VersionId,
        part: u64,
        progress: &Listener<'_>,
    ) -> Result<bool> {
        let (mut meter, mut watch) = (Meter::new(Stage::Prefill, 0, 0), Watch::new(progress));
        watch.tell(meter.progress(0)).await?;
        Ok(self.rebuild(version, part, &mut meter, &mut watch).await? > 0)
    }

    /// The tokens computed.
    async fn rebuild(
        &self,
        version: VersionId,
        part: u64,
        meter: &mut Meter,
        watch: &mut Watch<'_>,
    ) -> Result<u64> {
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
            self.stores.catalog.forget_segment(expected).await?;
        }
        let mut unwritten = None;
        let computed = self.compute_segment(version, planned.spec, &mut unwritten, meter, watch).await?;
        self.write(unwritten).await?;
        Ok(computed)
    }

    /// The parts of a document as this engine makes them, from the stored text.
    pub(crate) async fn plan_again(&self, document: &Document) -> Result<Vec<PlannedPart>> {
        let Some(stored) = document.version.stored else { return Ok(Vec::new()) };
        let passages = self.stores.catalog.passages(document.version.id).await?;
        let (library, engine) = (self.stores.library.clone(), self.engine.clone());
        let (path, title) = (document.path.clone(), document.version.title.clone());
        blocking(move || {
            let text = library.document_text(&stored)?;
            plan_parts(&engine, &title, &text.token_ids, &passages)
                .map_err(|source| Error::Tokens { document: path, source: Box::new(source) })
        })
        .await?
    }

    /// Computes one segment of a version, and writes the one before it meanwhile; returns the tokens computed, 0 when the
    /// segment was on disk.
    async fn compute_segment(
        &self,
        version: VersionId,
        spec: SegmentSpec,
        unwritten: &mut Option<Unwritten>,
        meter: &mut Meter,
        watch: &mut Watch<'_>,
    ) -> Result<u64> {
        if unwritten.as_ref().is_some_and(|before| before.spec.id() == spec.id()) {
            self.write(unwritten.take()).await?;
        }
        if self.register_found(&spec).await? {
            // With nothing to compute beside it the writing need not wait.
            self.write(unwritten.take()).await?;
            return Ok(0);
        }
        let n_tokens = spec.tokens.len() as u64;
        let pages = self.compute_beside(unwritten.take(), spec.tokens.clone(), meter, watch).await?;
        *unwritten = Some(Unwritten { version, spec, pages });
        if n_tokens.saturating_mul(self.engine.kv_bytes_per_token()) > MAX_UNWRITTEN_BYTES {
            self.write(unwritten.take()).await?;
        }
        Ok(n_tokens)
    }

    /// Computes a part while the segment before it is written. Gives up computing when the writing fails; when the
    /// computing is stopped, waits for the writing.
    async fn compute_beside(
        &self,
        before: Option<Unwritten>,
        ids: Vec<u32>,
        meter: &Meter,
        watch: &mut Watch<'_>,
    ) -> Result<PartPages> {
        // A task of its own: it neither waits for the caller's progress function nor ends half-way with this one.
        let ingest = self.clone();
        let mut writing = tokio::spawn(async move { ingest.write(before).await });
        let mut computing = pin!(self.compute(ids, meter, watch));
        tokio::select! {
            joined = &mut writing => {
                joined??;
                computing.await
            }
            pages = &mut computing => match (writing.await?, pages) {
                // Nobody wants what could not be written.
                (_, Err(Error::Cancelled)) => Err(Error::Cancelled),
                (written, pages) => written.and(pages),
            }
        }
    }

    /// Makes a computed segment durable and registers it.
    pub(crate) async fn write(&self, unwritten: Option<Unwritten>) -> Result<()> {
        let Some(Unwritten { version, spec, pages }) = unwritten else { return Ok(()) };
        let digest = Digest(spec.id().0);
        let kv = self.stores.kv.clone();
        let _changing = self.stores.library.changing.lock().await;
        self.check_there(version).await?;
        let bytes = blocking(move || write_segment(&kv, spec, &pages)).await??;
        self.stores.catalog.register_segment(digest, bytes).await?;
        Ok(())
    }

    /// A segment that was finished just before its process ended is on disk but not in the catalog.
    async fn register_found(&self, spec: &SegmentSpec) -> Result<bool> {
        let _changing = self.stores.library.changing.lock().await;
        let (kv, id, layers) = (self.stores.kv.clone(), spec.id(), spec.layers.clone());
        let found = blocking(move || {
            match kv.verify(&id) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.is_damage() => return kv.set_aside(&id, "damaged").map(|_| None),
                Err(error) => return Err(error),
            }
            let Some(segment) = kv.open_segment(&id)? else { return Ok(None) };
            // An imported file can be sound and named rightly, and hold other layers than this model's.
            if segment.layers() != layers {
                return kv.set_aside(&id, "other layers").map(|_| None);
            }
            Ok(Some(segment.file_bytes()))
        })
        .await??;
        if let Some(bytes) = found {
            self.stores.catalog.register_segment(Digest(id.0), bytes).await?;
        }
        Ok(found.is_some())
    }

    /// Prefills on a thread of its own and reports meanwhile.
    async fn compute(&self, ids: Vec<u32>, meter: &Meter, watch: &mut Watch<'_>) -> Result<PartPages> {
        let engine = self.engine.clone();
        watch.follow(meter, move |steps| Ok(engine.prefill_part(&ids, &mut |p| steps.reached(p.done))?)).await
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
