//! Round trips, and files as strangers might send them.

use std::path::PathBuf;

use proptest::prelude::*;

use crate::testing::{GgufWriter, quantise_q4_1, quantise_q8_0};
use crate::{Array, DType, Error, Model, Value};

struct Saved(#[expect(dead_code)] tempfile::TempDir, PathBuf);

fn save(bytes: &[u8]) -> Saved {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    std::fs::write(&path, bytes).unwrap();
    Saved(dir, path)
}

fn open(bytes: &[u8]) -> crate::Result<Model> {
    Model::open(&save(bytes).1)
}

fn sample() -> GgufWriter {
    GgufWriter::new()
        .str("general.architecture", "llama")
        .u64("llama.block_count", 2)
        .f32("llama.rope.freq_base", 1e5)
        .key("tokenizer.ggml.add_bos_token", Value::Bool(true))
        .key("negative", Value::I64(-3))
        .str_array("tokenizer.ggml.tokens", &["a", "é", ""])
        .key("tokenizer.ggml.token_type", Value::Array(Array::I64(vec![1, 1, 3])))
        .tensor_f32("norm", &[3], &[1.0, -2.0, 0.5])
        .tensor_f32("matrix", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
}

/// Offset of the first occurrence of `needle`, plus `plus`.
fn find(bytes: &[u8], needle: &[u8], plus: usize) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap() + plus
}

fn patched(mut bytes: Vec<u8>, at: usize, patch: &[u8]) -> Vec<u8> {
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

/// Offset of the first tensor's dimension count ("norm": 1 dimension, then 8 bytes, type 4, offset 8).
fn norm_at(bytes: &[u8]) -> usize {
    find(bytes, b"\x04\0\0\0\0\0\0\0norm", 12)
}

#[test]
fn metadata_is_typed() {
    let model = open(&sample().to_bytes()).unwrap();
    let metadata = model.metadata();
    assert_eq!(metadata.str("general.architecture").unwrap(), Some("llama"));
    assert_eq!(metadata.u64("llama.block_count").unwrap(), Some(2));
    assert_eq!(metadata.f32("llama.rope.freq_base").unwrap(), Some(1e5));
    assert_eq!(metadata.bool("tokenizer.ggml.add_bos_token").unwrap(), Some(true));
    assert_eq!(metadata.str_array("tokenizer.ggml.tokens").unwrap().unwrap(), ["a", "é", ""]);
    assert_eq!(metadata.u64_array("tokenizer.ggml.token_type").unwrap(), Some(vec![1, 1, 3]));
    assert_eq!(metadata.u64("absent").unwrap(), None);
    assert!(matches!(metadata.u64("negative"), Err(Error::MetadataType { .. })));
    assert!(matches!(metadata.str("llama.block_count"), Err(Error::MetadataType { .. })));
}

#[test]
fn tensors_have_the_outermost_dimension_first() {
    let model = open(&sample().to_bytes()).unwrap();
    let matrix = model.tensor("matrix").unwrap();
    assert_eq!((matrix.shape, matrix.rows(), matrix.cols()), ([2, 3].as_slice(), 2, 3));
    assert_eq!(matrix.dequantise().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let mut row = [0.0; 3];
    matrix.dequantise_row(1, &mut row).unwrap();
    assert_eq!(row, [4.0, 5.0, 6.0]);
    assert!(matches!(matrix.dequantise_row(2, &mut row), Err(Error::Row { rows: 2, .. })));
    assert!(matches!(matrix.dequantise_row(0, &mut [0.0; 2]), Err(Error::BufferLength { .. })));
    assert!(matches!(model.tensor("none"), Err(Error::MissingTensor { .. })));
    assert!(model.try_tensor("none").unwrap().is_none());
}

#[test]
fn quantised_rows_decode_one_by_one_as_all_together() {
    let values: Vec<f32> = (0..128).map(|i| (i as f32 * 0.7).sin()).collect();
    let bytes = GgufWriter::new()
        .tensor("q8", DType::Q8_0, &[2, 64], &quantise_q8_0(&values))
        .tensor("q4", DType::Q4_1, &[4, 32], &quantise_q4_1(&values))
        .to_bytes();
    let model = open(&bytes).unwrap();
    for (name, tolerance) in [("q8", 0.01), ("q4", 0.08)] {
        let tensor = model.tensor(name).unwrap();
        let all = tensor.dequantise().unwrap();
        let mut row = vec![0.0; tensor.cols() as usize];
        for i in 0..tensor.rows() {
            tensor.dequantise_row(i, &mut row).unwrap();
            assert_eq!(row, all[i as usize * row.len()..][..row.len()]);
        }
        assert!(all.iter().zip(&values).all(|(got, want)| (got - want).abs() < tolerance), "{name}");
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    // Unpadded, so that every byte counts.
    let bytes = sample().tensor_f32("last", &[8], &[1.0; 8]).to_bytes();
    assert!(open(&bytes).is_ok());
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len]).is_err(), "cut to {len} of {} bytes", bytes.len());
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = sample().to_bytes();
    bytes.push(0);
    assert!(matches!(open(&bytes), Err(Error::Unclaimed { .. })));
}

#[test]
fn foreign_versions_and_byte_orders_are_refused() {
    let bytes = sample().to_bytes();
    for (version, word) in
        [([0, 0, 0, 3], "byte order"), ([1, 0, 0, 0], "version"), ([4, 0, 0, 0], "version")]
    {
        let error = open(&patched(bytes.clone(), 4, &version)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(open(&patched(bytes.clone(), 4, &[2, 0, 0, 0])).is_ok());
    assert!(matches!(open(&patched(bytes, 0, b"PK")), Err(Error::NotAModel { .. })));
}

#[test]
fn huge_counts_are_refused() {
    let bytes = sample().to_bytes();
    for at in [8, 16] {
        let huge = patched(bytes.clone(), at, &u64::MAX.to_le_bytes());
        assert!(matches!(open(&huge), Err(Error::TooLarge { got: u64::MAX, .. })));
        let many = patched(bytes.clone(), at, &60_000u64.to_le_bytes());
        assert!(open(&many).is_err());
    }
    // The length of an array that is allowed, but is not there.
    let at = find(&bytes, b"tokenizer.ggml.tokens", 21 + 8);
    let array = patched(bytes.clone(), at, &(8u64 << 20).to_le_bytes());
    assert!(open(&array).is_err());
    let string = patched(bytes, 24, &(60_000u64).to_le_bytes());
    assert!(matches!(open(&string), Err(Error::Truncated { what: "metadata key", .. })));
}

#[test]
fn duplicate_names_are_refused() {
    let keys = sample().u64("llama.block_count", 3).to_bytes();
    assert!(matches!(open(&keys), Err(Error::Duplicate { kind: "metadata key", .. })));
    let tensors = sample().tensor_f32("norm", &[1], &[1.0]).to_bytes();
    assert!(matches!(open(&tensors), Err(Error::Duplicate { kind: "tensor", .. })));
}

#[test]
fn unknown_types_are_refused_by_name() {
    let bytes = sample().to_bytes();
    let at = norm_at(&bytes) + 12;
    let error = open(&patched(bytes.clone(), at, &[10, 0, 0, 0])).unwrap_err();
    assert!(
        error.to_string().contains("tensor `norm`") && error.to_string().contains("type Q2_K"),
        "{error}"
    );
    let error = open(&patched(bytes.clone(), at, &[99, 0, 0, 0])).unwrap_err();
    assert!(error.to_string().contains("number 99"), "{error}");
    // Three values are no whole block.
    assert!(matches!(open(&patched(bytes, at, &[8, 0, 0, 0])), Err(Error::Shape { .. })));
}

#[test]
fn sizes_that_overflow_or_leave_the_file_are_refused() {
    let bytes = sample().to_bytes();
    let at = norm_at(&bytes);
    let dim = |n: u64| open(&patched(bytes.clone(), at + 4, &n.to_le_bytes()));
    assert!(matches!(dim(u64::MAX), Err(Error::SizeOverflow { .. })));
    assert!(matches!(dim(1 << 40), Err(Error::Extent { .. })));
    assert!(matches!(dim(0), Err(Error::Invalid { what: "dimension", .. })));
    let offset = |n: u64| open(&patched(bytes.clone(), at + 16, &n.to_le_bytes()));
    assert!(matches!(offset(1), Err(Error::Invalid { what: "offset of a tensor", .. })));
    assert!(matches!(offset(u64::MAX - 31), Err(Error::SizeOverflow { .. } | Error::Extent { .. })));
    assert!(matches!(offset(1 << 62), Err(Error::Extent { .. })));
    let dims = patched(bytes.clone(), at, &5u32.to_le_bytes());
    assert!(matches!(open(&dims), Err(Error::Invalid { what: "number of dimensions", .. })));
}

#[test]
fn overlapping_and_unclaimed_bytes_are_refused() {
    let bytes = sample().to_bytes();
    let norm_offset = norm_at(&bytes) + 16;
    // "matrix": 2 dimensions, type, then its offset, which is 32.
    let matrix_offset = find(&bytes, b"matrix", 6 + 4 + 16 + 4);
    let overlap = patched(bytes.clone(), matrix_offset, &0u64.to_le_bytes());
    assert!(matches!(open(&overlap), Err(Error::Overlap { .. })));
    let both_at_32 = patched(bytes, norm_offset, &32u64.to_le_bytes());
    assert!(matches!(open(&both_at_32), Err(Error::Overlap { .. } | Error::Unclaimed { .. })));
}

#[test]
fn alignment_is_checked() {
    assert!(open(&sample().u64("general.alignment", 64).to_bytes()).is_ok());
    let bytes = sample().u64("general.alignment", 64).to_bytes();
    let at = find(&bytes, b"general.alignment", 17 + 4);
    for bad in [0u32, 48, 1 << 20] {
        let error = open(&patched(bytes.clone(), at, &bad.to_le_bytes())).unwrap_err();
        assert!(error.to_string().contains("general.alignment"), "{error}");
    }
}

#[test]
fn split_files_are_refused_by_name() {
    let error = open(&sample().u64("split.count", 3).to_bytes()).unwrap_err();
    assert!(error.to_string().contains("split.count = 3"), "{error}");
}

#[test]
fn a_model_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&open(&sample().to_bytes()).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever bytes change, opening ends in a model whose tensors can be read or in an error, never in a panic.
    #[test]
    fn damaged_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = sample().to_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(model) = open(&bytes) {
            for name in model.tensor_names() {
                prop_assert!(model.tensor(name).unwrap().dequantise().is_ok());
            }
        }
    }
}
