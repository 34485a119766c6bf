//! Whole segment files on their way between stores. What arrives is a stranger's: it takes its place among the
//! segments only after all of it was checked against the identity it should have. An identity names what the rows were
//! computed from, not their values: a forger's rows pass every check. So a sound segment that is here already is kept.

use std::io::{self, Read};
use std::sync::Arc;

use crate::error::Result;
use crate::identity::SegmentId;
use crate::reader::Segment;
use crate::store::{Store, io_error};

const CHUNK: usize = 1 << 20;

/// The bytes of a segment's file, in order.
pub struct SegmentFile {
    segment: Segment,
    at: u64,
}

impl Read for SegmentFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.segment.file.file().map_err(io::Error::other)?.read_at(self.at, buf)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Segment {
    /// The whole file, for another store to copy in. Pages are not checked on the way.
    pub fn into_file(self) -> SegmentFile {
        SegmentFile { segment: self, at: 0 }
    }
}

impl Store {
    /// Takes a segment file of `bytes` bytes that came from another store. Once this returns `Ok`, a segment of that
    /// identity is durable and served like one computed here: the one that was here when it is sound, and then what
    /// comes is read and thrown away unchecked. Otherwise nothing of it stays.
    ///
    /// Errors: [`crate::KvError::is_damage`] when it is not a sound segment of that identity.
    pub fn copy_in(&self, id: &SegmentId, bytes: u64, from: &mut dyn Read) -> Result<()> {
        let shared = &self.shared;
        if self.is_sound(id)? {
            let passed_over = io::copy(&mut from.take(bytes), &mut io::sink());
            passed_over
                .map_err(|source| io_error("pass over a copy of", &shared.segment_path(id), source))?;
            // It may have been renamed into place by a process that died before it could sync.
            return shared.sync_dir(&shared.ensure_fan_out(id)?);
        }
        let path = shared.temporary_path(id);
        let copied = (|| {
            let file = shared.create(&path)?;
            let (mut from, mut at, mut buffer) = (from.take(bytes), 0, vec![0; CHUNK]);
            loop {
                let read = match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(source) => return Err(io_error("copy a segment to", &path, source)),
                };
                file.write_at(at, &buffer[..read]).map_err(|source| io_error("write", &path, source))?;
                at += read as u64;
            }
            file.sync().map_err(|source| io_error("sync", &path, source))?;
            let file = shared.files.pooled(file.into(), path.clone());
            Segment::open(Arc::clone(shared), file, *id)?.verify()?;
            let (folder, place) = (shared.ensure_fan_out(id)?, shared.segment_path(id));
            let renamed = shared.storage.rename(&path, &place);
            renamed.map_err(|source| io_error("rename into place", &place, source))?;
            shared.sync_dir(&folder)
        })();
        if copied.is_err() {
            // What cannot be removed now is removed when the store is next opened.
            let _ = shared.storage.remove(&path);
        }
        copied
    }

    /// Whether a segment is here and passes all checks; a damaged one is as good as none.
    fn is_sound(&self, id: &SegmentId) -> Result<bool> {
        match self.verify(id) {
            Err(error) if error.is_damage() => Ok(false),
            found => found,
        }
    }
}
