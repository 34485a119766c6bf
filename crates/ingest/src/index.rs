//! The passage index of a corpus, kept in step with what the catalog shows. It is always written after the commit
//! it belongs to, so a stamp names exactly one content; a crash in between makes it stale and it is built again.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc,
};

use base::Id;
use catalog::{Corpus, Document, State, VersionId};
use search::{Index, Key, NewPassage, Stamp};

use crate::{Error, Result, Stores, stores::blocking};

/// One document on its way into the index.
struct IndexedDocument {
    version: VersionId,
    title: String,
    text: String,
    passages: Vec<catalog::Passage>,
}

/// What to do to an index: from empty, or to the one stamped with `base`.
struct Change {
    base: Option<Stamp>,
    remove: Vec<VersionId>,
    add: Vec<Document>,
    stamp: Stamp,
}

impl Stores {
    /// The index of the corpus as it is now. The caller holds `publishing`.
    pub(crate) async fn open_index(&self, corpus: &Corpus) -> Result<Index> {
        match self.try_open(&corpus.id, Stamp::new(&corpus.id, corpus.version)).await? {
            Some(index) => Ok(index),
            None => self.rebuild_index(corpus).await,
        }
    }

    /// The caller holds `publishing`.
    pub(crate) async fn rebuild_index(&self, corpus: &Corpus) -> Result<Index> {
        let stamp = Stamp::new(&corpus.id, corpus.version);
        let add = self.catalog.documents(&corpus.id, corpus.version).await?;
        self.write_changes(&corpus.id, Change { base: None, remove: Vec::new(), add, stamp: stamp.clone() })
            .await?;
        let path = self.index_path(&corpus.id);
        Ok(blocking(move || Index::open(&path, &stamp)).await??)
    }

    /// Brings the index from corpus version `before`, which showed the document versions `shown`, to `version`.
    /// The caller holds `publishing`.
    pub(crate) async fn index_step(
        &self,
        corpus: &Id,
        before: u64,
        shown: &[VersionId],
        version: u64,
    ) -> Result<()> {
        let documents = self.catalog.documents(corpus, version).await?;
        let now: BTreeSet<VersionId> = documents.iter().map(|d| d.version.id).collect();
        let old: BTreeSet<VersionId> = shown.iter().copied().collect();
        let remove = old.difference(&now).copied().collect();
        let add = documents.into_iter().filter(|d| !old.contains(&d.version.id)).collect();
        self.step(corpus, before, Change { base: None, remove, add, stamp: Stamp::new(corpus, version) })
            .await
    }

    /// The same for a version that differs from the one before it in nothing but what it does not show. The caller holds
    /// `publishing`.
    pub(crate) async fn index_removal(
        &self,
        corpus: &Id,
        remove: Vec<VersionId>,
        version: u64,
    ) -> Result<()> {
        let change = Change { base: None, remove, add: Vec::new(), stamp: Stamp::new(corpus, version) };
        self.step(corpus, version.saturating_sub(1), change).await
    }

    /// An index that is not that of `before`, or cannot be brought to that of the new version, is of no use to anybody: it
    /// goes, lest it keep words of what was removed, and is built again when a reader asks for it. What it is derived from
    /// is there: the step that it belongs to has not failed.
    async fn step(&self, corpus: &Id, before: u64, mut change: Change) -> Result<()> {
        change.base = (before > 0).then(|| Stamp::new(corpus, before));
        let Err(error) = self.write_changes(corpus, change).await else { return Ok(()) };
        if !matches!(error, Error::Search(search::Error::Stale { .. })) {
            tracing::warn!(corpus = corpus.as_str(), "the text index has to be built again: {error}");
        }
        self.remove_index(corpus.as_str())
    }

    /// `None`: there is none, or it belongs to something else, or its files are damaged.
    async fn try_open(&self, corpus: &Id, stamp: Stamp) -> Result<Option<Index>> {
        let path = self.index_path(corpus);
        match blocking(move || Index::open(&path, &stamp)).await? {
            Ok(index) => Ok(Some(index)),
            Err(search::Error::Stale { .. } | search::Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Texts are loaded here one at a time and indexed on a thread of their own.
    async fn write_changes(&self, corpus: &Id, change: Change) -> Result<()> {
        let (send, documents) = mpsc::sync_channel(0);
        let (path, Change { base, remove, add, stamp }) = (self.index_path(corpus), change);
        let writer = blocking(move || write_index(&path, base, &remove, documents, &stamp));
        let texts = async {
            let send = send;
            for document in add.iter().filter(|d| d.version.state == State::Ready) {
                let Some(stored) = document.version.stored else { continue };
                let library = self.library.clone();
                let text = blocking(move || library.document_text(&stored)).await??.text;
                let version = document.version.id;
                let passages = self.catalog.passages(version).await?;
                let title = document.version.title.clone();
                let (send, document) = (send.clone(), IndexedDocument { version, title, text, passages });
                if blocking(move || send.send(Some(document))).await?.is_err() {
                    return Ok(());
                }
            }
            // Fails only when the writer has ended, which says why by itself.
            let _ = blocking(move || send.send(None)).await?;
            Ok::<_, Error>(())
        };
        let (written, loaded) = tokio::join!(writer, texts);
        loaded?;
        Ok(written??)
    }

    /// The document versions that the newest corpus version shows.
    pub(crate) async fn shown(&self, corpus: &Id) -> Result<Vec<VersionId>> {
        let documents = self.catalog.documents(corpus, u64::MAX).await?;
        Ok(documents.iter().map(|document| document.version.id).collect())
    }

    pub(crate) fn index_path(&self, corpus: &Id) -> PathBuf {
        self.index_root.join(corpus.as_str())
    }
}

/// `None` ends the documents. Without it the channel was closed by a failure, and nothing is committed.
fn write_index(
    path: &Path,
    base: Option<Stamp>,
    remove: &[VersionId],
    documents: mpsc::Receiver<Option<IndexedDocument>>,
    stamp: &Stamp,
) -> std::result::Result<(), search::Error> {
    let index = match base {
        Some(base) => Index::open(path, &base)?,
        None => Index::create(path)?,
    };
    let mut writer = index.writer()?;
    remove.iter().for_each(|version| writer.remove(version.0));
    for document in documents {
        let Some(document) = document else { return writer.commit(stamp) };
        writer.add(document.passages.iter().filter_map(|passage| {
            let span = passage.bytes.start as usize..passage.bytes.end as usize;
            Some(NewPassage {
                key: Key { version: document.version.0, idx: passage.idx },
                body: document.text.get(span)?,
                heading: &passage.heading,
                title: &document.title,
            })
        }))?;
    }
    Ok(())
}
