//! The header of a segment file: what it holds, for whom, in which order. Bytes as in FORMAT.md.
//!
//! First thing read when a segment is opened; its checksum is checked before any field but those that say
//! where the checksum is.

use std::path::Path;

use crate::checksum::{CHECKSUM_BYTES, Checksum};
use crate::error::{KvError, Result};
use crate::identity::{ContextId, RowKind, SegmentId};
use crate::layout::{HEADER_FIXED_BYTES, LAYER_BYTES, Layout, MAX_LAYERS, PageOrder, StoredLayer};
use crate::page::{Dtype, PageShape};

/// Version of the bytes; part of every segment's identity.
pub const FORMAT_VERSION: u32 = 3;

pub(crate) const MAGIC: [u8; 8] = *b"IBID-KV\n";

const AT_N_LAYERS: usize = 12;
const AT_DTYPE: usize = 112;

#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub id: SegmentId,
    pub context: ContextId,
    pub row_kind: RowKind,
    pub layout: Layout,
}

impl Header {
    /// The header's bytes, checksum included.
    pub fn encode(&self) -> Vec<u8> {
        let layout = &self.layout;
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend((layout.layers().len() as u32).to_le_bytes());
        bytes.extend(self.id.0);
        bytes.extend(self.context.0);
        let (row_kind, prefix) = match self.row_kind {
            RowKind::Isolated => (0, [0; 32]),
            RowKind::Exact { prefix } => (1, prefix.0),
        };
        bytes.extend(prefix);
        let dtype = match layout.dtype() {
            Dtype::F32 => 0,
            Dtype::Bf16 => 1,
            Dtype::Int8 => 2,
            Dtype::K6V4 => 3,
        };
        let order = match layout.order() {
            PageOrder::PageMajor => 0,
            PageOrder::LayerMajor => 1,
        };
        bytes.extend([dtype, order, row_kind, 0, 0, 0, 0, 0]);
        bytes.extend(layout.n_tokens().to_le_bytes());
        bytes.extend(layout.file_len().to_le_bytes());
        for stored in layout.layers() {
            bytes.extend(stored.layer.to_le_bytes());
            bytes.extend((stored.shape.n_kv_heads as u32).to_le_bytes());
            bytes.extend((stored.shape.head_dim as u32).to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(stored.first_page.to_le_bytes());
        }
        bytes.extend(Checksum::of(&bytes).0);
        bytes
    }

    /// Reads a header from the start of a file of `file_len` bytes. `bytes` must hold all of it or the whole file.
    pub fn decode(path: &Path, bytes: &[u8], file_len: u64) -> Result<Self> {
        let fields = Fields { path, bytes };
        let got = fields.array::<8>(0)?;
        if got != MAGIC {
            return Err(KvError::Magic { path: path.into(), got });
        }
        let version = fields.u32(8)?;
        if version != FORMAT_VERSION {
            return Err(KvError::Version { path: path.into(), expected: FORMAT_VERSION, got: version });
        }
        let n_layers = fields.u32(AT_N_LAYERS)? as usize;
        if !(1..=MAX_LAYERS).contains(&n_layers) {
            return Err(fields.bad("number of layers", AT_N_LAYERS, n_layers as u64, "1 to 1024"));
        }
        let end = HEADER_FIXED_BYTES + n_layers * LAYER_BYTES;
        check_region(path, "the header", 0, fields.range(0, end)?, Checksum(fields.array(end)?))?;

        let header = fields.checked_fields(n_layers)?;
        if header.layout.file_len() != fields.u64(128)? {
            return Err(fields.bad("file length", 128, fields.u64(128)?, "the sum of the file's regions"));
        }
        if header.layout.file_len() != file_len {
            let expected = header.layout.file_len();
            return Err(KvError::FileLength { path: path.into(), expected, got: file_len });
        }
        Ok(header)
    }
}

/// Compares a region's bytes with its stored checksum.
pub(crate) fn check_region(
    path: &Path,
    what: impl ToString,
    offset: u64,
    bytes: &[u8],
    expected: Checksum,
) -> Result<()> {
    let got = Checksum::of(bytes);
    match got == expected {
        true => Ok(()),
        false => Err(KvError::Checksum { path: path.into(), what: what.to_string(), offset, expected, got }),
    }
}

/// Fixed-width fields at known offsets of bytes that may end anywhere.
struct Fields<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn range(&self, at: usize, len: usize) -> Result<&'a [u8]> {
        self.bytes.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(|| KvError::Truncated {
            path: self.path.into(),
            offset: at as u64,
            expected: len as u64,
            got: self.bytes.len().saturating_sub(at) as u64,
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.range(at, N)?);
        Ok(array)
    }

    fn u32(&self, at: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    fn bad(&self, field: &'static str, at: usize, got: u64, want: &'static str) -> KvError {
        KvError::Field { path: self.path.into(), field, offset: at as u64, got, want }
    }

    fn zero(&self, at: usize, len: usize) -> Result<()> {
        match self.range(at, len)?.iter().zip(at..).find(|(byte, _)| **byte != 0) {
            None => Ok(()),
            Some((&got, at)) => Err(KvError::Padding { path: self.path.into(), offset: at as u64, got }),
        }
    }

    /// The fields behind the checksum; right bytes may still be a stranger's.
    fn checked_fields(&self, n_layers: usize) -> Result<Header> {
        let [dtype, order, row_kind] = self.array::<3>(AT_DTYPE)?;
        let dtype = match dtype {
            0 => Dtype::F32,
            1 => Dtype::Bf16,
            2 => Dtype::Int8,
            3 => Dtype::K6V4,
            got => return Err(self.bad("dtype", AT_DTYPE, got.into(), "0 f32, 1 bf16, 2 int8 or 3 k6v4")),
        };
        let order = match order {
            0 => PageOrder::PageMajor,
            1 => PageOrder::LayerMajor,
            got => return Err(self.bad("page order", 113, got.into(), "0 page-major or 1 layer-major")),
        };
        let row_kind = match row_kind {
            0 => {
                self.zero(80, 32)?;
                RowKind::Isolated
            }
            1 => RowKind::Exact { prefix: SegmentId(self.array(80)?) },
            got => return Err(self.bad("row kind", 114, got.into(), "0 isolated or 1 exact")),
        };
        self.zero(115, 5)?;
        let mut layers = Vec::with_capacity(n_layers);
        for idx in 0..n_layers {
            let at = HEADER_FIXED_BYTES + idx * LAYER_BYTES;
            let shape =
                PageShape { n_kv_heads: self.u32(at + 4)? as usize, head_dim: self.u32(at + 8)? as usize };
            self.zero(at + 12, 4)?;
            layers.push(StoredLayer { layer: self.u32(at)?, shape, first_page: self.u64(at + 16)? });
        }
        let layout = Layout::new(dtype, order, &layers, self.u64(120)?).map_err(|error| match error {
            KvError::Spec { field, got, want } => self.bad(field, AT_N_LAYERS, got, want),
            other => other,
        })?;
        Ok(Header { id: SegmentId(self.array(16)?), context: ContextId(self.array(48)?), row_kind, layout })
    }
}

/// Longest header, for the first read of a file.
pub(crate) const MAX_HEADER_BYTES: u64 =
    (HEADER_FIXED_BYTES + MAX_LAYERS * LAYER_BYTES + CHECKSUM_BYTES) as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(row_kind: RowKind) -> Header {
        let layers = [(3, 2, 8, 0), (7, 1, 16, 1)].map(|(layer, n_kv_heads, head_dim, first_page)| {
            StoredLayer { layer, shape: PageShape { n_kv_heads, head_dim }, first_page }
        });
        let layout = Layout::new(Dtype::Bf16, PageOrder::LayerMajor, &layers, 100).unwrap();
        let (id, context) = (SegmentId([1; 32]), ContextId([2; 32]));
        Header { id, context, row_kind, layout }
    }

    fn decode(bytes: &[u8]) -> Result<Header> {
        Header::decode(Path::new("x.kv"), bytes, header(RowKind::Isolated).layout.file_len())
    }

    /// Changes bytes and makes the checksum right again, as a stranger would.
    fn forged(change: impl Fn(&mut [u8])) -> Vec<u8> {
        let mut bytes = header(RowKind::Isolated).encode();
        let end = bytes.len() - CHECKSUM_BYTES;
        change(&mut bytes[..end]);
        let checksum = Checksum::of(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.0);
        bytes
    }

    #[test]
    fn round_trip() {
        for row_kind in [RowKind::Isolated, RowKind::Exact { prefix: SegmentId([7; 32]) }] {
            let wrote = header(row_kind);
            let read = decode(&wrote.encode()).unwrap();
            assert_eq!((read.id, read.context, read.row_kind), (wrote.id, wrote.context, row_kind));
            assert_eq!(read.layout.layers(), wrote.layout.layers());
            assert_eq!((read.layout.dtype(), read.layout.n_tokens()), (Dtype::Bf16, 100));
            assert_eq!(read.encode(), wrote.encode());
        }
    }

    #[test]
    fn any_flipped_byte_and_any_cut_is_found() {
        let good = header(RowKind::Isolated).encode();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            assert!(decode(&bytes).unwrap_err().is_damage(), "byte {at}");
            assert!(matches!(decode(&good[..at]), Err(KvError::Truncated { .. })), "cut at {at}");
        }
    }

    #[test]
    fn magic_version_and_length_have_their_own_errors() {
        let mut bytes = header(RowKind::Isolated).encode();
        bytes[0] = b'X';
        assert!(matches!(decode(&bytes), Err(KvError::Magic { .. })));
        let bytes = forged(|bytes| bytes[8] = 2);
        assert!(matches!(decode(&bytes), Err(KvError::Version { expected: 3, got: 2, .. })));
        let good = header(RowKind::Isolated).encode();
        let error = Header::decode(Path::new("x.kv"), &good, 12).unwrap_err();
        assert!(matches!(error, KvError::FileLength { got: 12, .. }), "{error}");
    }

    #[test]
    fn forged_fields_are_named() {
        let cases: [(&str, usize, u8); 12] = [
            ("number of layers", 13, 0xff),
            ("dtype", 112, 4),
            ("page order", 113, 2),
            ("row kind", 114, 2),
            ("number of tokens", 127, 0xff),
            ("file length", 128, 1),
            ("layer", 136, 200),
            ("number of KV heads", 142, 1),
            ("head dimension", 147, 1),
            ("first page", 159, 1),
            ("number of KV heads", 164, 0),
            ("head dimension", 168, 0),
        ];
        for (expected, at, value) in cases {
            match decode(&forged(|bytes| bytes[at] = value)) {
                Err(KvError::Field { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected} at {at}: {other:?}"),
            }
        }
        for at in [80, 115, 119, 148, 175] {
            let error = decode(&forged(|bytes| bytes[at] = 1)).unwrap_err();
            assert!(matches!(error, KvError::Padding { offset, .. } if offset == at as u64), "{error}");
        }
    }
}
