//! The one error type of the crate: what was wrong, in which file, at which byte, and what to do about it.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong with a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },

    /// Matrices of a stack were asked for.
    #[error("tensor {tensor} of shape {shape:?} is no stack of matrices")]
    Stack { tensor: String, shape: Vec<u64> },

    /// Only rows lie together in files.
    #[error("tensor {tensor} is {dtype:?}, which cannot be turned; only matrices of plain numbers can")]
    Transpose { tensor: String, dtype: crate::DType },

    /// Neither a GGUF file, a safetensors file, nor a folder of safetensors.
    #[error(
        "{} is not a model: {reason}; give a .gguf file, a .safetensors file, or a folder with config.json and safetensors",
        path.display()
    )]
    NotAModel { path: PathBuf, reason: String },

    /// The file ends inside something.
    #[error(
        "{} is cut short: {what} at byte {offset} needs {needed} bytes, {left} are left; copy or fetch the file again",
        path.display()
    )]
    Truncated { path: PathBuf, what: &'static str, offset: u64, needed: u64, left: u64 },

    /// A size or count is past what this crate accepts.
    #[error("{what} in {} is {got}, the limit is {limit}", path.display())]
    TooLarge { path: PathBuf, what: &'static str, got: u64, limit: u64 },

    /// A field has a value that it may not have.
    #[error("{what} at byte {offset} of {} is {got}, expected {expected}; the file is damaged or of another format, fetch it again", path.display())]
    Invalid { path: PathBuf, offset: u64, what: &'static str, expected: String, got: String },

    /// JSON that does not parse, or parses to something else than the format says.
    #[error("bad JSON in {}: {source}; the file is damaged, fetch it again", path.display())]
    Json { path: PathBuf, source: serde_json::Error },

    /// The same name twice.
    #[error("{kind} `{name}` occurs twice in {}", path.display())]
    Duplicate { path: PathBuf, kind: &'static str, name: String },

    /// Number of elements or bytes of a tensor does not fit 64 bits.
    #[error("tensor `{tensor}` of {} has shape {shape:?}, whose size overflows", path.display())]
    SizeOverflow { path: PathBuf, tensor: String, shape: Vec<u64> },

    /// The shape and the type of a tensor do not go together.
    #[error("tensor `{tensor}` of {} has shape {shape:?}, expected {expected}", path.display())]
    Shape { path: PathBuf, tensor: String, shape: Vec<u64>, expected: String },

    /// A tensor lies (partly) outside the file, or has another length than its shape and type say.
    #[error(
        "{}: tensor `{tensor}` takes bytes {start}..{end}, expected {expected} bytes inside the {len} of the file; it is \
         {} and has to be copied or fetched again",
        path.display(),
        if end > len { "cut short" } else { "damaged" }
    )]
    Extent { path: PathBuf, tensor: String, start: u64, end: u64, expected: u64, len: u64 },

    /// Two tensors share bytes.
    #[error("tensors `{first}` and `{second}` overlap at byte {offset} of {}; the file is damaged, fetch it again", path.display())]
    Overlap { path: PathBuf, first: String, second: String, offset: u64 },

    /// Bytes that belong to no tensor, before, between or after them.
    #[error("bytes {start}..{end} of {} belong to no tensor; the file is damaged, fetch it again", path.display())]
    Unclaimed { path: PathBuf, start: u64, end: u64 },

    /// A tensor of a type that this crate does not decode.
    #[error(
        "tensor `{tensor}` of {} has type {dtype}, which is not supported; supported are {supported}",
        path.display(),
        supported = crate::dtype::SUPPORTED
    )]
    UnsupportedType { path: PathBuf, tensor: String, dtype: String },

    /// A tensor of integers was to be read as weights.
    #[error("tensor `{tensor}` holds {dtype} values, which are not weights")]
    NotWeights { tensor: String, dtype: crate::DType },

    /// A quantisation scheme, or a variant of one, that this crate does not read.
    #[error("{} uses {what} `{got}`, which is not supported; supported is {supported}", path.display())]
    Unsupported { path: PathBuf, what: String, got: String, supported: &'static str },

    /// A tensor that the file does not hold.
    #[error("{} holds no tensor `{tensor}`", path.display())]
    MissingTensor { path: PathBuf, tensor: String },

    /// A metadata key holds another type than the one asked for.
    #[error("metadata key `{key}` of {} is {got}, expected {expected}", path.display())]
    MetadataType { path: PathBuf, key: String, expected: &'static str, got: String },

    /// A file name that leads out of the model's folder.
    #[error("{} names the file `{name}`; only plain names inside the folder are allowed", path.display())]
    FileName { path: PathBuf, name: String },

    /// The caller asked for a row that the tensor does not have.
    #[error("tensor `{tensor}` has {rows} rows, row {row} was asked for")]
    Row { tensor: String, row: u64, rows: u64 },

    /// The caller's buffer has another length than the row.
    #[error("tensor `{tensor}` has rows of {expected} values, the buffer takes {got}")]
    BufferLength { tensor: String, expected: u64, got: u64 },

    /// A weight that is to be quantised is infinite or no number.
    #[error("`{tensor}` has a weight in row {row} that is not a finite number; fetch the model again")]
    NotFinite { tensor: String, row: u64 },

    /// A model without the matrices that a conversion is for.
    #[error(
        "{} holds no experts (feed_forward.experts, feed_forward.shared_expert); only Llama 4 checkpoints can be converted",
        path.display()
    )]
    NothingToQuantise { path: PathBuf },

    /// A conversion would overwrite what it reads.
    #[error("{} is the folder that is read; choose another target", path.display())]
    SameFolder { path: PathBuf },

    /// The caller asked to stop.
    #[error("stopped; the target is unfinished and is no model, repeat the command to begin again")]
    Interrupted,

    /// A full re-hash gave another fingerprint than the stored one.
    #[error(
        "{} has changed since it was first read: fingerprint {got}, expected {expected}; fetch the model again, \
         or ingest again with the model as it is now",
        path.display()
    )]
    FingerprintChanged { path: PathBuf, expected: crate::Fingerprint, got: crate::Fingerprint },
}
