//! The directory of a segment file: for each page its offset, length and checksum, in order of layer, then page.
//!
//! Read once at open. Offsets must be those that the header implies, so a forged directory cannot point two
//! pages at the same bytes or outside the file; what remains to be kept in memory is the checksums.

use std::path::Path;

use crate::checksum::{CHECKSUM_BYTES, Checksum};
use crate::error::{KvError, Result};
use crate::header::check_region;
use crate::layout::{ENTRY_BYTES, Layout};

/// The directory's bytes, its own checksum included. `checksums` has one per entry of the layout.
pub(crate) fn encode(layout: &Layout, checksums: &[Checksum]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(checksums.len() * ENTRY_BYTES + CHECKSUM_BYTES);
    for ((layer, page), checksum) in layout.entries().zip(checksums) {
        let span = layout.page(layer, page).expect("a layout places its own entries");
        bytes.extend(span.offset.to_le_bytes());
        bytes.extend(span.length.to_le_bytes());
        bytes.extend(checksum.0);
    }
    bytes.extend(Checksum::of(&bytes).0);
    bytes
}

/// Reads the region from `layout.directory_at()` to `layout.directory_end()`.
pub(crate) fn decode(path: &Path, layout: &Layout, bytes: &[u8]) -> Result<Box<[Checksum]>> {
    let at = layout.directory_at();
    let truncated = || KvError::Truncated {
        path: path.into(),
        offset: at,
        expected: layout.directory_end() - at,
        got: bytes.len() as u64,
    };
    let (entries, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(truncated)?;
    check_region(path, "the directory", at, entries, Checksum(*checksum))?;
    let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
    if entries.len() as u64 != layout.n_entries() || !rest.is_empty() {
        return Err(truncated());
    }
    let mut checksums = Vec::with_capacity(entries.len());
    for ((layer, page), entry) in layout.entries().zip(entries) {
        let [offset, length] = [0, 8].map(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&entry[at..at + 8]);
            u64::from_le_bytes(word)
        });
        let span = layout.page(layer, page).expect("a layout places its own entries");
        let (expected, got) = ((span.offset, span.length), (offset, length));
        if expected != got {
            return Err(KvError::DirectoryEntry { path: path.into(), layer, page, expected, got });
        }
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&entry[16..]);
        checksums.push(Checksum(checksum));
    }
    Ok(checksums.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{PageOrder, StoredLayer};
    use crate::page::{Dtype, PageShape};

    fn sample() -> (Layout, Vec<Checksum>) {
        let shape = PageShape { n_kv_heads: 1, head_dim: 2 };
        let layers = [0, 1, 5].map(|layer| StoredLayer { layer, shape, first_page: u64::from(layer == 5) });
        let layout = Layout::new(Dtype::Int8, PageOrder::PageMajor, &layers, 130).unwrap();
        let checksums = (0..layout.n_entries()).map(|entry| Checksum([entry as u8; 16])).collect();
        (layout, checksums)
    }

    #[test]
    fn round_trip_flipped_bytes_and_cuts() {
        let (layout, checksums) = sample();
        let good = encode(&layout, &checksums);
        assert_eq!(good.len() as u64, layout.directory_end() - layout.directory_at());
        assert_eq!(*decode(Path::new("x"), &layout, &good).unwrap(), checksums);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(matches!(decode(Path::new("x"), &layout, &bytes), Err(KvError::Checksum { .. })));
            assert!(decode(Path::new("x"), &layout, &good[..at]).unwrap_err().is_damage());
        }
    }

    #[test]
    fn a_forged_place_or_number_of_entries_is_refused() {
        let (layout, checksums) = sample();
        let forge = |entries: &mut Vec<u8>| {
            let checksum = Checksum::of(entries);
            entries.extend(checksum.0);
        };
        let good = encode(&layout, &checksums);
        let entries = &good[..good.len() - CHECKSUM_BYTES];
        for at in [32, 40] {
            let mut bytes = entries.to_vec();
            bytes[at] ^= 0x40;
            forge(&mut bytes);
            let error = decode(Path::new("x"), &layout, &bytes).unwrap_err();
            assert!(matches!(error, KvError::DirectoryEntry { layer: 0, page: 1, .. }), "{error}");
        }
        let mut bytes = entries[32..].to_vec();
        forge(&mut bytes);
        assert!(matches!(decode(Path::new("x"), &layout, &bytes), Err(KvError::Truncated { .. })));
    }
}
