//! The ZIP container, bounded: members, unpacked bytes in all, and the ratio of each.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::MEDIA_TYPE;
use crate::extract::{ExtractError, Limits};

/// Unpacked bytes that are let through before the ratio counts: small parts of repeated markup pack very well.
const RATIO_FREE: u64 = 1 << 20;

pub struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: &'a Limits,
    unpacked: u64,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8], limits: &'a Limits) -> Result<Self, ExtractError> {
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| ExtractError::malformed(MEDIA_TYPE, 0, error))?;
        if zip.len() as u64 > limits.archive_members {
            return Err(ExtractError::limit("archive_members", limits.archive_members));
        }
        Ok(Self { zip, limits, unpacked: 0 })
    }

    /// Bytes of a member; `None` when there is none of this name.
    pub fn member(&mut self, name: &str) -> Result<Option<Vec<u8>>, ExtractError> {
        let member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(ExtractError::malformed(MEDIA_TYPE, 0, error)),
        };
        let packed = member.compressed_size().max(1);
        let by_ratio = packed.saturating_mul(self.limits.unpack_ratio).max(RATIO_FREE);
        let by_total = self.limits.unpacked_bytes.saturating_sub(self.unpacked);
        let allowed = by_ratio.min(by_total);
        let mut bytes = Vec::new();
        // The declared size is only a claim: reading stops one byte past what is allowed.
        member
            .take(allowed.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| ExtractError::malformed(MEDIA_TYPE, 0, error))?;
        if bytes.len() as u64 > allowed {
            return Err(if by_total <= by_ratio {
                ExtractError::limit("unpacked_bytes", self.limits.unpacked_bytes)
            } else {
                ExtractError::limit("unpack_ratio", self.limits.unpack_ratio)
            });
        }
        self.unpacked += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Whether any member's name starts so.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.zip.file_names().flatten().any(|name| name.starts_with(prefix))
    }
}
