//! [`Ingest::import`]: an archive becomes a corpus by the way of every ingest, from staging to the one commit; only
//! its originals, texts and KV are already there.

use std::path::{Path, PathBuf};

use base::Id;
use catalog::{Corpus, Digest, FoundFile, JobKind, LOCAL_OWNER, NewFile, Plan, Start};
use serde_json::json;

use crate::{
    AddReport, Error, Ingest, Result, Stage,
    archive::{
        Manifest,
        unpack::{UnpackedSegments, Wanted, read_manifest, unpack},
    },
    pipeline::Task,
    progress::Meter,
    stores::blocking,
    text::Texts,
    watch::{Listener, Watch},
};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Name of the new corpus; the archive's own where there is none.
    pub name: Option<String>,
    /// Take the originals alone, parse them and compute KV here. Checksums show that texts and KV are whole, not that
    /// they were made from the originals.
    pub without_kv: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ImportReport {
    pub corpus: Corpus,
    pub added: AddReport,
    pub segments_taken: u64,
    /// Damaged in the archive, or made by other numerics; their tokens were computed here.
    pub segments_refused: u64,
    /// The model of the archive's KV, when it is not the open one: none of it was taken.
    pub other_model: Option<String>,
}

/// An archive as it was first read.
struct Read {
    path: PathBuf,
    manifest: Manifest,
    digest: Digest,
}

/// Where an archive goes.
enum Place {
    /// The name is free.
    New,
    /// A corpus without a version or a job: what is left when the process ends before the first staging, or when a
    /// job is cancelled. Nobody's work is in it.
    Empty(Corpus),
    /// What an interrupted import of the same archive left, with its job.
    Interrupted(Corpus, Id),
}

impl Ingest {
    /// Makes a corpus of an archive. Ids are new, history and answers stay behind. What ends early leaves no version
    /// to ask; repeating it goes on.
    ///
    /// Errors: [`Error::CorpusExists`], [`Error::CorpusName`], [`Error::Archive`] and its kin, before a corpus is made.
    pub async fn import(
        &self,
        archive: &Path,
        options: &ImportOptions,
        progress: &Listener<'_>,
    ) -> Result<ImportReport> {
        let _adding = self.stores.adding.lock().await;
        let outcome = self.take_archive(archive, options, progress).await;
        // Files of the archive that no row names: all of them after a failure, else segments that nothing needs.
        let swept = self.stores.sweep().await;
        let report = outcome?;
        swept?;
        Ok(report)
    }

    async fn take_archive(
        &self,
        archive: &Path,
        options: &ImportOptions,
        progress: &Listener<'_>,
    ) -> Result<ImportReport> {
        let mut watch = Watch::new(progress);
        let (path, limits) = (archive.to_owned(), self.limits.clone());
        let read = blocking(move || {
            let (manifest, digest) = read_manifest(&path, &limits)?;
            Ok::<_, Error>(Read { path, manifest, digest })
        })
        .await??;
        let name = options.name.as_ref().unwrap_or(&read.manifest.corpus);
        let name = base::corpus_name(name).map_err(Error::CorpusName)?;
        // How an interrupted import took its texts and KV is part of what it is: only the same goes on with them.
        let params = json!({"archive": read.digest.to_string(), "without_kv": options.without_kv});
        let place = self.place(name, &params).await?;
        let model = self.model();
        let other = read.manifest.model.as_ref().filter(|archived| !archived.is(&model));
        let texts = if options.without_kv { Texts::default() } else { texts(&read.manifest) };
        let wanted = Wanted { texts: !options.without_kv, kv: !options.without_kv && other.is_none() };

        let changing = self.stores.library.changing.lock().await;
        let segments = self.unpack(&read, wanted, &mut watch).await?;
        let begin = Start::New { kind: JobKind::Import, params };
        let (corpus, start) = match place {
            Place::New => (self.stores.catalog.create_corpus(LOCAL_OWNER, name).await?, begin),
            Place::Empty(corpus) => (corpus, begin),
            Place::Interrupted(corpus, job) => (corpus, Start::Resume(job)),
        };
        self.stores.catalog.bind_model(&corpus.id, &model).await?;
        let plan = plan(&read.manifest);
        let job = self.stores.catalog.begin_ingest(LOCAL_OWNER, &corpus.id, &plan, start).await?.job;
        drop(changing);

        let mut added = AddReport::default();
        self.run(&corpus, Task { texts, ..Task::new(job) }, &mut added, &mut watch).await?;
        let corpus = self.stores.catalog.corpus(LOCAL_OWNER, corpus.id.as_str()).await?;
        let used = self.segments_in_use(&read.manifest).await?;
        Ok(ImportReport {
            corpus,
            added,
            segments_taken: segments.taken.min(used),
            segments_refused: segments.damaged + segments.taken.saturating_sub(used),
            other_model: other.map(|model| format!("{} ({} KV)", model.name, model.kv_dtype)),
        })
    }

    /// Errors: [`Error::CorpusExists`] for a corpus that anything else was done with.
    async fn place(&self, name: &str, params: &serde_json::Value) -> Result<Place> {
        let corpus = match self.stores.catalog.corpus(LOCAL_OWNER, name).await {
            Ok(corpus) => corpus,
            Err(catalog::Error::NotFound { .. }) => return Ok(Place::New),
            Err(error) => return Err(error.into()),
        };
        match self.unfinished_job(&corpus).await? {
            None if corpus.version == 0 => Ok(Place::Empty(corpus)),
            Some(job) if corpus.version == 0 && job.kind == JobKind::Import && job.params == *params => {
                Ok(Place::Interrupted(corpus, job.id))
            }
            _ => Err(Error::CorpusExists { name: name.to_owned() }),
        }
    }

    async fn unpack(&self, read: &Read, wanted: Wanted, watch: &mut Watch<'_>) -> Result<UnpackedSegments> {
        let total = read.manifest.members().values().map(|(_, bytes)| bytes).sum();
        let (stores, path, digest) = (self.stores.clone(), read.path.clone(), read.digest);
        let meter = Meter::new(Stage::Unpack, 0, total);
        watch.follow(&meter, move |steps| unpack(&stores, &path, digest, wanted, &steps)).await
    }

    /// How many of the archive's segments the corpora here need and have.
    async fn segments_in_use(&self, manifest: &Manifest) -> Result<u64> {
        let mut used = 0;
        for segment in &manifest.segments {
            used += u64::from(self.stores.catalog.segment_bytes(segment.digest).await?.is_some());
        }
        Ok(used)
    }
}

/// Every document is new.
fn plan(manifest: &Manifest) -> Plan {
    let added = manifest.documents.iter().map(|document| FoundFile {
        path: document.path.clone(),
        file: NewFile { sha256: document.original.digest, bytes: document.original.bytes },
        place: None,
    });
    Plan { added: added.collect(), ..Plan::default() }
}

fn texts(manifest: &Manifest) -> Texts {
    let documents = manifest.documents.iter();
    documents.filter_map(|document| Some((document.path.clone(), document.text.clone()?))).collect()
}
