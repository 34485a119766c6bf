//! A corpus → one archive file. Nothing is at its final name before all of it is durable.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use catalog::{BlobKind, Corpus, Digest, Document, Object};
use kv::SegmentId;

use super::{ArchivedDocument, ArchivedText, FORMAT, MANIFEST, Manifest, Member, VERSION, member_name};
use crate::{
    Error, Library, Result, Stage, Stores,
    progress::Meter,
    stores::blocking,
    watch::{Listener, Steps, Watch},
};

const BUFFER: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    pub corpus_version: u64,
    pub documents: u64,
    /// KV segments in the archive.
    pub segments: u64,
    /// Segments that are missing or damaged here: whoever imports computes them.
    pub segments_left_out: u64,
    /// Of the archive file.
    pub bytes: u64,
}

impl Stores {
    /// Writes the newest version of a corpus into one file: originals, texts and KV. Needs no model.
    ///
    /// Errors: [`Error::NothingToExport`], [`Error::FileExists`] unless `replace`, [`Error::Damaged`] and
    /// [`Error::Missing`] for a stored file that is not what the catalog names.
    pub async fn export(
        &self,
        corpus: &Corpus,
        to: &Path,
        replace: bool,
        progress: &Listener<'_>,
    ) -> Result<ExportReport> {
        if !replace && to.exists() {
            return Err(Error::FileExists { path: to.to_owned() });
        }
        let mut watch = Watch::new(progress);
        let snapshot = self.snapshot(corpus).await?;
        let documents = self.catalog.documents(&snapshot.corpus.id, snapshot.corpus.version).await?;
        if documents.is_empty() {
            return Err(Error::NothingToExport { corpus: corpus.name.clone() });
        }
        let (segments, left_out) = self.sound_segments(&documents, &mut watch).await?;
        let manifest = self.manifest(&snapshot.corpus, &documents, segments).await?;
        let report = ExportReport {
            corpus_version: snapshot.corpus.version,
            documents: documents.len() as u64,
            segments: manifest.segments.len() as u64,
            segments_left_out: left_out,
            bytes: 0,
        };
        let total = manifest.members().values().map(|(_, bytes)| bytes).sum();
        let (stores, path) = (self.clone(), to.to_owned());
        let meter = Meter::new(Stage::Pack, 0, total);
        let bytes = watch
            .follow(&meter, move |steps| write_archive(&stores, &manifest, &path, replace, &steps))
            .await?;
        Ok(ExportReport { bytes, ..report })
    }

    /// The segments of the documents that are whole, each checked against its identity; and how many are not.
    async fn sound_segments(
        &self,
        documents: &[Document],
        watch: &mut Watch<'_>,
    ) -> Result<(Vec<Member>, u64)> {
        let mut needed = BTreeMap::new();
        for document in documents {
            for part in self.catalog.parts(document.version.id).await? {
                needed.insert(part.segment, part.ready);
            }
        }
        let mut meter = Meter::new(Stage::Check, 0, needed.len() as u64);
        let (mut sound, mut left_out) = (Vec::new(), 0);
        for (digest, ready) in needed {
            let kv = self.kv.clone();
            let bytes = match ready {
                true => blocking(move || sound_bytes(&kv, digest)).await??,
                false => None,
            };
            match bytes {
                Some(bytes) => sound.push(Member { digest, bytes }),
                None => left_out += 1,
            }
            meter.add(1);
            watch.tell(meter.progress(0)).await?;
        }
        Ok((sound, left_out))
    }

    async fn manifest(
        &self,
        corpus: &Corpus,
        documents: &[Document],
        segments: Vec<Member>,
    ) -> Result<Manifest> {
        let (library, documents) = (self.library.clone(), documents.to_vec());
        let documents = blocking(move || {
            documents.iter().map(|document| library.describe(document)).collect::<Result<Vec<_>>>()
        })
        .await??;
        Ok(Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            corpus: corpus.name.clone(),
            model: corpus.model.clone().map(Into::into),
            documents,
            segments,
        })
    }
}

/// File size of a segment; `None` when it is missing or damaged.
fn sound_bytes(kv: &kv::Store, digest: Digest) -> Result<Option<u64>> {
    let id = SegmentId(digest.0);
    match kv.verify(&id) {
        Ok(true) => Ok(kv.open_segment(&id)?.map(|segment| segment.file_bytes())),
        Ok(false) => Ok(None),
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Library {
    fn describe(&self, document: &Document) -> Result<ArchivedDocument> {
        let version = &document.version;
        let member = |kind, digest| match self.size(kind, digest)? {
            Some(bytes) => Ok(Member { digest, bytes }),
            None => Err(Error::Missing { kind, path: self.path(kind, digest) }),
        };
        let optional = |kind, digest: Option<Digest>| digest.map(|digest| member(kind, digest)).transpose();
        let text = match version.stored {
            None => None,
            Some(stored) => Some(ArchivedText {
                title: version.title.clone(),
                media_type: version.media_type.clone(),
                warnings: serde_json::from_value(version.warnings.clone()).map_err(|e| Error::Encoding {
                    kind: BlobKind::Text,
                    path: self.path(BlobKind::Text, stored.text),
                    detail: format!("its warnings: {e}"),
                })?,
                text: member(BlobKind::Text, stored.text)?,
                pages: optional(BlobKind::Pages, stored.pages)?,
                boxes: optional(BlobKind::Boxes, stored.boxes)?,
            }),
        };
        let original = member(BlobKind::Original, version.file.sha256)?;
        Ok(ArchivedDocument { path: document.path.clone(), original, text })
    }
}

/// The archive under its final name; its bytes.
fn write_archive(
    stores: &Stores,
    manifest: &Manifest,
    to: &Path,
    replace: bool,
    steps: &Steps,
) -> Result<u64> {
    let failed = |source| Error::Io { operation: "write", path: to.to_owned(), source };
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = tempfile::Builder::new().prefix(".ibid-export-").tempfile_in(folder).map_err(failed)?;
    let mut tar = tar::Builder::new(BufWriter::with_capacity(BUFFER, file));
    let json = serde_json::to_vec(manifest).expect("a manifest is plain data");
    append(&mut tar, MANIFEST, json.len() as u64, &json[..]).map_err(failed)?;
    let mut done = 0;
    for (object, bytes) in manifest.members().into_values() {
        let name = member_name(object);
        match object {
            // The read checks the digest: what is damaged here does not travel.
            Object::Blob(kind, digest) => {
                let content = stores.library.read(kind, digest)?;
                append(&mut tar, &name, content.len() as u64, &content[..]).map_err(failed)?;
            }
            Object::Segment(digest) => {
                let id = SegmentId(digest.0);
                let segment = stores.kv.open_segment(&id)?.ok_or_else(|| segment_gone(to, &name))?;
                append(&mut tar, &name, bytes, segment.into_file()).map_err(failed)?;
            }
        }
        done += bytes;
        if steps.reached(done).is_break() {
            return Err(Error::Interrupted);
        }
    }
    let buffered = tar.into_inner().map_err(failed)?;
    let file = buffered.into_inner().map_err(|e| failed(e.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    let bytes = file.as_file().metadata().map_err(failed)?.len();
    match replace {
        true => file.persist(to).map(drop).map_err(|e| failed(e.error))?,
        false => file.persist_noclobber(to).map(drop).map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => Error::FileExists { path: to.to_owned() },
            _ => failed(e.error),
        })?,
    }
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(bytes)
}

fn segment_gone(archive: &Path, name: &str) -> Error {
    let source = io::Error::new(io::ErrorKind::NotFound, format!("{name} went away meanwhile"));
    Error::Io { operation: "write", path: PathBuf::from(archive), source }
}

/// A regular file without owner, time or permissions of this machine: the same corpus gives the same archive.
fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_cksum();
    tar.append(&header, content)
}
