//! An archive file → content-addressed files of this data folder. Everything in it is a stranger's: names are looked
//! up, never followed; a member is kept only when it is what the manifest names; links, devices and folders are refused.
//!
//! Nothing here becomes visible: files that no row names are swept when the import fails.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use catalog::{Blob, BlobKind, Digest, Object};
use kv::SegmentId;

use super::{MANIFEST, MAX_MANIFEST_BYTES, Manifest, Opening};
use crate::{Error, Result, Stores, watch::Steps};

const BUFFER: usize = 1 << 20;

/// What became of the archive's KV segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnpackedSegments {
    pub taken: u64,
    /// Not what their name promises; not kept.
    pub damaged: u64,
}

/// Reads and checks the manifest; also gives its digest, the archive's identity.
///
/// Errors: [`Error::Archive`], [`Error::ArchiveVersion`], [`Error::ArchiveLimit`], [`Error::Input`].
pub(crate) fn read_manifest(archive: &Path, limits: &corpus::Limits) -> Result<(Manifest, Digest)> {
    let mut tar = open(archive)?;
    let mut entries = entries(archive, &mut tar)?;
    let (manifest, digest) = manifest_of(archive, &mut entries)?;
    manifest.check(archive, limits)?;
    Ok((manifest, digest))
}

/// What is taken beside the originals; the rest is passed over unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub texts: bool,
    pub kv: bool,
}

/// Puts every member that is wanted in its place. `expected`: the manifest's digest as it was read before.
pub(crate) fn unpack(
    stores: &Stores,
    archive: &Path,
    expected: Digest,
    wanted: Wanted,
    steps: &Steps,
) -> Result<UnpackedSegments> {
    let bad = |detail: String| Error::Archive { path: archive.to_owned(), detail };
    let mut tar = open(archive)?;
    let mut entries = entries(archive, &mut tar)?;
    let (manifest, digest) = manifest_of(archive, &mut entries)?;
    if digest != expected {
        return Err(bad("it changed while it was being read".into()));
    }
    let mut missing = manifest.members();
    let (mut segments, mut done) = (UnpackedSegments::default(), 0);
    for entry in entries {
        let mut entry = entry.map_err(|e| unreadable(archive, e))?;
        let (object, bytes) = take_expected(archive, &entry, &mut missing)?;
        match object {
            Object::Blob(kind, digest) if wanted.texts || kind == BlobKind::Original => {
                stores.library.put_expected(kind, Blob { digest, bytes }, &mut entry).map_err(
                    |e| match e {
                        Error::Input { source, .. } => unreadable(archive, source),
                        Error::Damaged { expected, got, .. } => {
                            bad(format!("member {kind}/{expected} hashes to {got}; get the archive again"))
                        }
                        other => other,
                    },
                )?;
            }
            Object::Segment(digest) if wanted.kv => match take_segment(stores, digest, bytes, &mut entry)? {
                true => segments.taken += 1,
                false => segments.damaged += 1,
            },
            Object::Blob(..) | Object::Segment(_) => {}
        }
        done += bytes;
        if steps.reached(done).is_break() {
            return Err(Error::Interrupted);
        }
    }
    if let Some(name) = missing.keys().next() {
        return Err(bad(format!(
            "{} members are missing, first {name}; it was cut short, get it again",
            missing.len()
        )));
    }
    if wanted.texts {
        for text in manifest.documents.iter().filter_map(|document| document.text.as_ref()) {
            stores.library.archived_text(text)?;
        }
    }
    Ok(segments)
}

type Archive = tar::Archive<BufReader<File>>;

fn open(archive: &Path) -> Result<Archive> {
    let failed = |source| Error::Input { path: archive.to_owned(), source };
    let file = File::open(archive).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let detail = "it is no regular file; name a file that ibid export wrote".into();
        return Err(Error::Archive { path: archive.to_owned(), detail });
    }
    Ok(tar::Archive::new(BufReader::with_capacity(BUFFER, file)))
}

/// Raw entries: headers that change names or sizes of others are seen as what they are, and refused.
fn entries<'a>(archive: &Path, tar: &'a mut Archive) -> Result<tar::Entries<'a, BufReader<File>>> {
    Ok(tar.entries().map_err(|e| unreadable(archive, e))?.raw(true))
}

fn unreadable(archive: &Path, source: std::io::Error) -> Error {
    let detail = format!("it cannot be read ({source}); name a file that ibid export wrote, or get it again");
    Error::Archive { path: archive.to_owned(), detail }
}

fn manifest_of(
    archive: &Path,
    entries: &mut tar::Entries<'_, BufReader<File>>,
) -> Result<(Manifest, Digest)> {
    let bad = |detail: String| Error::Archive { path: archive.to_owned(), detail };
    let none = || bad(format!("it does not begin with {MANIFEST}; name a file that ibid export wrote"));
    let entry = entries.next().ok_or_else(none)?.map_err(|e| unreadable(archive, e))?;
    if !is_plain(&entry) || &*entry.path_bytes() != MANIFEST.as_bytes() {
        return Err(none());
    }
    if entry.size() > MAX_MANIFEST_BYTES {
        return Err(Error::ArchiveLimit {
            path: archive.to_owned(),
            what: "manifest_bytes",
            got: entry.size(),
            limit: MAX_MANIFEST_BYTES,
        });
    }
    let mut json = Vec::new();
    entry.take(MAX_MANIFEST_BYTES).read_to_end(&mut json).map_err(|e| unreadable(archive, e))?;
    let no_manifest = |e: serde_json::Error| bad(format!("{MANIFEST}: {e}"));
    // First: another version may say the rest in another way.
    serde_json::from_slice::<Opening>(&json).map_err(no_manifest)?.check(archive)?;
    let manifest = serde_json::from_slice(&json).map_err(no_manifest)?;
    Ok((manifest, Digest(*blake3::hash(&json).as_bytes())))
}

fn is_plain(entry: &tar::Entry<'_, BufReader<File>>) -> bool {
    entry.header().entry_type().is_file()
}

/// Which member an entry is: one of those not yet met, of the size that was promised.
fn take_expected(
    archive: &Path,
    entry: &tar::Entry<'_, BufReader<File>>,
    missing: &mut BTreeMap<String, (Object, u64)>,
) -> Result<(Object, u64)> {
    let bad = |detail: String| Error::Archive { path: archive.to_owned(), detail };
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if !is_plain(entry) {
        let kind = entry.header().entry_type();
        return Err(bad(format!("member {name:?} is a {kind:?}, only regular files are taken")));
    }
    let (object, bytes) = missing
        .remove(&name)
        .ok_or_else(|| bad(format!("member {name:?} is not in its manifest, or there twice")))?;
    if entry.size() != bytes {
        let size = entry.size();
        return Err(bad(format!("member {name} is {size} bytes long, its manifest says {bytes}")));
    }
    Ok((object, bytes))
}

/// False when the bytes are not a sound segment of that identity: it can be computed again, so nothing is lost.
fn take_segment(stores: &Stores, digest: Digest, bytes: u64, from: &mut dyn Read) -> Result<bool> {
    match stores.kv.copy_in(&SegmentId(digest.0), bytes, from) {
        Ok(()) => Ok(true),
        Err(error) if error.is_damage() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
