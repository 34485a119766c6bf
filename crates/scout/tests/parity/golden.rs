//! Reading the committed fixtures, and the distance of logits from theirs.

use compute::Rows;
use scout::{Engine, Numerics};
use std::path::{Path, PathBuf};

/// What Hugging Face says of a checkpoint.
pub struct Golden {
    pub input_ids: Vec<u32>,
    /// `[n_tokens, vocab]`
    pub logits: Vec<f32>,
}

/// A file or folder under `fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Reads an `expected.safetensors`.
pub fn expected(name: &str) -> Golden {
    let file = weights::Model::open(&fixture(name)).unwrap();
    let ids = file.tensor("input_ids").unwrap();
    let (ids, rest) = ids.bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    Golden {
        input_ids: ids.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect(),
        logits: file.tensor("logits").unwrap().dequantise().unwrap(),
    }
}

/// The largest difference, over max(1, the largest expected size).
pub fn distance(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len(), "number of logits");
    let scale = expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
    let worst = got.iter().zip(expected).fold(0.0f32, |max, (a, b)| {
        assert!(a.is_finite(), "a logit is {a}");
        max.max((a - b).abs())
    });
    worst / scale
}

/// rms(got - expected) / rms(expected)
pub fn relative_rms(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len(), "number of logits");
    let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
    let error = squares(&mut got.iter().zip(expected).map(|(a, b)| a - b));
    (error / squares(&mut expected.iter().copied())).sqrt() as f32
}

/// All rows one after the other, `[n_rows * width]`.
pub fn flat(rows: &Rows) -> Vec<f32> {
    rows.as_slice().to_vec()
}

/// Opens a model with its tokenizer and template; the fingerprint is kept nowhere.
pub fn open(path: &Path, numerics: Numerics) -> Engine {
    let cache = tempfile::tempdir().unwrap();
    Engine::open(path, numerics, cache.path(), &mut |_| ()).unwrap()
}
