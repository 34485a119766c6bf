//! Writes a safetensors file whose tensors may be larger than memory: first everything that the header says, then the
//! values in the same order, in pieces of any size. The same tensors give the same file.

use std::path::Path;

use crate::new_file::NewFile;
use crate::{DType, Result};

/// Values begin at a multiple of this many bytes.
const ALIGN: usize = 8;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    /// A type that the format has: F32, F16, BF16, U8, I32 or I64.
    pub dtype: DType,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
}

impl TensorSpec {
    /// Bytes of the values; `None` where that overflows.
    pub fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.block_bytes(), |bytes, dim| bytes.checked_mul(*dim))
    }
}

/// A safetensors file that is being written. It appears at its path when it is finished; dropped before, it leaves
/// nothing.
#[derive(Debug)]
pub struct SafetensorsWriter {
    file: NewFile,
    /// Bytes of values that the header promises and nobody wrote yet.
    left: u64,
}

impl SafetensorsWriter {
    /// Begins the file at `path` with the header of `tensors`.
    ///
    /// # Panics
    /// On a type that the format does not have, or sizes past 64 bits.
    pub fn create(path: &Path, tensors: &[TensorSpec]) -> Result<Self> {
        let (header, left) = header(tensors);
        let mut file = NewFile::create(path)?;
        file.write(&(header.len() as u64).to_le_bytes())?;
        file.write(header.as_bytes())?;
        Ok(Self { file, left })
    }

    /// The next bytes of the values, which may begin and end anywhere.
    ///
    /// # Panics
    /// On more bytes than the header has room for.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        assert!(len <= self.left, "{len} bytes where {} are left", self.left);
        self.left -= len;
        self.file.write(bytes)
    }

    /// Makes the file durable and puts it in place.
    ///
    /// # Panics
    /// When values are missing.
    pub fn finish(self) -> Result<()> {
        assert_eq!(self.left, 0, "bytes of values that were not written");
        self.file.finish()
    }
}

/// The header, padded with spaces, and the number of bytes behind it.
fn header(tensors: &[TensorSpec]) -> (String, u64) {
    // transformers refuses files that do not say this.
    let mut header = r#"{"__metadata__":{"format":"pt"}"#.to_owned();
    let mut start = 0;
    for spec in tensors {
        let end = spec.bytes().and_then(|bytes| bytes.checked_add(start)).unwrap_or(u64::MAX);
        assert!(end < u64::MAX && spec.dtype.block_len() == 1, "{spec:?} cannot be written");
        let TensorSpec { name, dtype, shape } = spec;
        let (name, shape) = (serde_json::json!(name), serde_json::json!(shape));
        header += &format!(r#",{name}:{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#);
        start = end;
    }
    header.push('}');
    let padded = header.len().next_multiple_of(ALIGN);
    header.extend(std::iter::repeat_n(' ', padded - header.len()));
    (header, start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    fn spec(name: &str, dtype: DType, shape: &[u64]) -> TensorSpec {
        TensorSpec { name: name.into(), dtype, shape: shape.to_vec() }
    }

    #[test]
    fn what_is_written_in_pieces_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        let tensors = [spec("b", DType::F32, &[2, 2]), spec("a \"quoted\"", DType::BF16, &[3])];
        let values: Vec<u8> = (0..22).collect();
        for piece in [1, 5, 22] {
            let mut writer = SafetensorsWriter::create(&path, &tensors).unwrap();
            values.chunks(piece).try_for_each(|piece| writer.write(piece)).unwrap();
            writer.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert!((bytes.len() - 22).is_multiple_of(8) && bytes.ends_with(&values));
            let model = Model::open(&path).unwrap();
            assert_eq!(model.tensor("b").unwrap().bytes, &values[..16]);
            let other = model.tensor("a \"quoted\"").unwrap();
            assert_eq!((other.dtype, other.shape, other.bytes), (DType::BF16, &[3][..], &values[16..]));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "temporary files are gone");
    }

    #[test]
    fn an_unfinished_file_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        std::fs::write(&path, "before").unwrap();
        let mut writer = SafetensorsWriter::create(&path, &[spec("a", DType::U8, &[9])]).unwrap();
        writer.write(&[1, 2, 3]).unwrap();
        drop(writer);
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn offsets_past_four_gibibytes_are_whole_numbers() {
        let tensors = [spec("a", DType::F32, &[1 << 20, 5120]), spec("b", DType::BF16, &[1])];
        let (header, bytes) = header(&tensors);
        assert_eq!(bytes, (5120 << 22) + 2);
        assert!(header.contains("[21474836480,21474836482]"), "{header}");
    }
}
