//! One corpus as one file: how it leaves a data folder and what is believed of it on the way in.
//!
//! A plain tar of regular files, not compressed: KV hardly shrinks, and nothing can swell on being unpacked.
//!
//! ```text
//! manifest.json      first; a Manifest: every document, and every other member with its digest and size
//! original/HEX       the user's bytes, named by SHA-256
//! text/HEX           canonical text; pages/HEX, boxes/HEX: what points into it; named by BLAKE3
//! segment/HEX        KV segments, by identity
//! ```
//!
//! What can be derived is not carried: tokens, passages and the passage index are made from the text on arrival, by
//! the same code as in `add`. Texts and KV are believed, unless the user wants the originals alone: nothing shows that
//! they were made from those.

pub(crate) mod pack;
pub(crate) mod unpack;

use std::collections::BTreeMap;
use std::path::Path;

use catalog::{BlobKind, Digest, ModelIdentity, Object, StoredText};
use corpus::{Extracted, Limits, Warning};
use serde::{Deserialize, Serialize};

use crate::{Error, Library, Result};

pub(crate) const FORMAT: &str = "ibid-corpus";
/// Raised when an older program could no longer read an archive.
pub(crate) const VERSION: u32 = 1;
pub(crate) const MANIFEST: &str = "manifest.json";

/// Most bytes of a manifest.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 64 << 20;
const MAX_DOCUMENTS: u64 = 100_000;
const MAX_SEGMENTS: u64 = 1_000_000;
/// Most bytes of all documents' texts, with pages and boxes. Documents may share a text and each is cut into passages
/// again, so that the size of the archive bounds nothing.
const MAX_TEXTS_BYTES: u64 = 16 << 30;
/// Most bytes of one KV segment.
const MAX_SEGMENT_BYTES: u64 = 1 << 30;
/// Most bytes of a document path, and of a corpus name.
const MAX_PATH_BYTES: u64 = 4096;
const MAX_NAME_BYTES: u64 = 4 * base::CORPUS_NAME_CHARACTERS as u64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub format: String,
    pub version: u32,
    /// Name of the corpus.
    pub corpus: String,
    /// The model its KV belongs to.
    pub model: Option<ArchivedModel>,
    pub documents: Vec<ArchivedDocument>,
    pub segments: Vec<Member>,
}

/// What the manifest of any version says of itself.
#[derive(Deserialize)]
pub(crate) struct Opening {
    format: String,
    version: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchivedModel {
    pub name: String,
    pub fingerprint: String,
    pub kv_dtype: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ArchivedDocument {
    pub path: String,
    pub original: Member,
    /// `None` for a document that holds nothing to ask about; it is read from its original again.
    pub text: Option<ArchivedText>,
}

/// A document's canonical text and what points into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ArchivedText {
    pub title: String,
    pub media_type: String,
    pub warnings: Vec<Warning>,
    pub text: Member,
    pub pages: Option<Member>,
    pub boxes: Option<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub digest: Digest,
    pub bytes: u64,
}

impl Opening {
    /// Errors: [`Error::Archive`] for another format, [`Error::ArchiveVersion`].
    pub fn check(&self, archive: &Path) -> Result<()> {
        let path = archive.to_owned();
        if self.format != FORMAT {
            let detail = format!("its manifest says {:?}, not {FORMAT:?}", self.format);
            return Err(Error::Archive { path, detail });
        }
        match self.version {
            VERSION => Ok(()),
            found => Err(Error::ArchiveVersion { path, found, known: VERSION }),
        }
    }
}

impl From<ModelIdentity> for ArchivedModel {
    fn from(model: ModelIdentity) -> Self {
        Self { name: model.name, fingerprint: model.fingerprint, kv_dtype: model.kv_dtype }
    }
}

impl ArchivedModel {
    /// Whether this model's segments are those that `other` would compute, as far as can be told from outside.
    pub fn is(&self, other: &ModelIdentity) -> bool {
        (&self.fingerprint, &self.kv_dtype) == (&other.fingerprint, &other.kv_dtype)
    }
}

/// Name of a member in the archive.
pub(crate) fn member_name(object: Object) -> String {
    match object {
        Object::Blob(kind, digest) => format!("{kind}/{digest}"),
        Object::Segment(digest) => format!("segment/{digest}"),
    }
}

impl Manifest {
    /// Every member behind the manifest, by name, with its bytes. Names come from digests alone.
    pub fn members(&self) -> BTreeMap<String, (Object, u64)> {
        let mut members = BTreeMap::new();
        let mut put = |object, member: Member| {
            members.insert(member_name(object), (object, member.bytes));
        };
        for document in &self.documents {
            put(Object::Blob(BlobKind::Original, document.original.digest), document.original);
            for (kind, member) in document.text.iter().flat_map(ArchivedText::objects) {
                put(Object::Blob(kind, member.digest), member);
            }
        }
        for segment in &self.segments {
            put(Object::Segment(segment.digest), *segment);
        }
        members
    }

    /// Holds the manifest against the limits and its own promises, before anything else is read.
    ///
    /// Errors: [`Error::ArchiveLimit`], [`Error::Archive`].
    pub fn check(&self, archive: &Path, limits: &Limits) -> Result<()> {
        let bad = |detail: String| Error::Archive { path: archive.to_owned(), detail };
        let within = |what, got, limit| match got <= limit {
            true => Ok(()),
            false => Err(Error::ArchiveLimit { path: archive.to_owned(), what, got, limit }),
        };
        within("documents", self.documents.len() as u64, MAX_DOCUMENTS)?;
        within("segments", self.segments.len() as u64, MAX_SEGMENTS)?;
        within("name_bytes", self.corpus.len() as u64, MAX_NAME_BYTES)?;
        for segment in &self.segments {
            within("segment_bytes", segment.bytes, MAX_SEGMENT_BYTES)?;
        }
        let mut paths = std::collections::BTreeSet::new();
        let mut texts_bytes = 0_u64;
        for document in &self.documents {
            within("path_bytes", document.path.len() as u64, MAX_PATH_BYTES)?;
            within("input_bytes", document.original.bytes, limits.input_bytes)?;
            for (kind, member) in document.text.iter().flat_map(ArchivedText::objects) {
                match kind {
                    BlobKind::Text => within("text_bytes", member.bytes, limits.text_bytes)?,
                    _ => within("reply_bytes", member.bytes, limits.reply_bytes)?,
                }
                texts_bytes = texts_bytes.saturating_add(member.bytes);
            }
            within("texts_bytes", texts_bytes, MAX_TEXTS_BYTES)?;
            if !is_document_path(&document.path) {
                return Err(bad(format!("{:?} is no document path", document.path)));
            }
            if !paths.insert(&document.path) {
                return Err(bad(format!("it holds the document {:?} twice", document.path)));
            }
        }
        Ok(())
    }
}

/// What `add` could have made: names separated by `/`, none of them empty or a step in the folder tree.
fn is_document_path(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'))
}

impl ArchivedText {
    fn objects(&self) -> impl Iterator<Item = (BlobKind, Member)> {
        let pages = self.pages.map(|member| (BlobKind::Pages, member));
        let boxes = self.boxes.map(|member| (BlobKind::Boxes, member));
        [Some((BlobKind::Text, self.text)), pages, boxes].into_iter().flatten()
    }
}

impl Library {
    /// The text as a parser would have given it, its spans checked.
    ///
    /// Errors: [`Error::Encoding`] for objects that do not belong together.
    pub(crate) fn archived_text(&self, archived: &ArchivedText) -> Result<Extracted> {
        let stored = StoredText {
            text: archived.text.digest,
            pages: archived.pages.map(|member| member.digest),
            boxes: archived.boxes.map(|member| member.digest),
            tokens: None,
        };
        let found = self.document_text(&stored)?;
        let extracted = Extracted {
            text: found.text,
            media_type: archived.media_type.clone(),
            title: archived.title.clone(),
            pages: found.pages,
            boxes: found.boxes,
            blocks: found.blocks,
            warnings: archived.warnings.clone(),
            ..Extracted::default()
        };
        extracted.check().map_err(|detail| Error::Encoding {
            kind: BlobKind::Pages,
            path: self.path(BlobKind::Text, archived.text.digest),
            detail,
        })?;
        Ok(extracted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let member = |n| Member { digest: Digest([n; 32]), bytes: u64::from(n) };
        let text = ArchivedText {
            title: "A".into(),
            media_type: "text/plain".into(),
            warnings: Vec::new(),
            text: member(2),
            pages: Some(member(3)),
            boxes: None,
        };
        let document =
            ArchivedDocument { path: "reports/a.txt".into(), original: member(1), text: Some(text) };
        Manifest {
            format: FORMAT.into(),
            version: VERSION,
            corpus: "reports".into(),
            model: None,
            documents: vec![document],
            segments: vec![member(4)],
        }
    }

    fn refusal(change: impl Fn(&mut Manifest)) -> Error {
        let mut manifest = manifest();
        change(&mut manifest);
        manifest.check(Path::new("a.tar"), &Limits::default()).unwrap_err()
    }

    #[test]
    fn a_sound_manifest_names_its_members_by_digest() {
        let manifest = manifest();
        manifest.check(Path::new("a.tar"), &Limits::default()).unwrap();
        let again: Manifest = serde_json::from_slice(&serde_json::to_vec(&manifest).unwrap()).unwrap();
        assert_eq!(again, manifest);
        let kinds: Vec<String> = manifest.members().keys().map(|name| name[..6].to_owned()).collect();
        assert_eq!(kinds, ["origin", "pages/", "segmen", "text/0"]);
    }

    #[test]
    fn every_limit_is_named() {
        type Case = (&'static str, fn(&mut Manifest));
        let cases: [Case; 7] = [
            ("documents", |m| m.documents = vec![m.documents[0].clone(); 100_001]),
            ("name_bytes", |m| m.corpus = "x".repeat(801)),
            ("segment_bytes", |m| m.segments[0].bytes = (1 << 30) + 1),
            ("path_bytes", |m| m.documents[0].path = "x".repeat(4097)),
            ("input_bytes", |m| m.documents[0].original.bytes = u64::MAX),
            ("text_bytes", |m| m.documents[0].text.as_mut().unwrap().text.bytes = u64::MAX),
            ("texts_bytes", |m| {
                m.documents[0].text.as_mut().unwrap().text.bytes = 50 << 20;
                m.documents = (0..400)
                    .map(|n| ArchivedDocument { path: format!("{n}.txt"), ..m.documents[0].clone() })
                    .collect();
            }),
        ];
        for (expected, change) in cases {
            let error = refusal(change);
            assert!(matches!(error, Error::ArchiveLimit { what, .. } if what == expected), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn other_formats_versions_and_paths_are_refused() {
        let opening =
            |format: &str, version| Opening { format: format.into(), version }.check(Path::new("a.tar"));
        opening(FORMAT, VERSION).unwrap();
        assert!(matches!(opening(FORMAT, 2), Err(Error::ArchiveVersion { found: 2, .. })));
        assert!(matches!(opening("zip", VERSION), Err(Error::Archive { .. })));
        for path in ["", "/etc/passwd", "a/../../b", "..", ".", "a//b", "a/", "a\0b"] {
            let error = refusal(|m| m.documents[0].path = path.into());
            assert!(matches!(error, Error::Archive { .. }), "{path:?}: {error}");
        }
        let twice = refusal(|m| m.documents.push(m.documents[0].clone()));
        assert!(twice.to_string().contains("twice"), "{twice}");
    }
}
