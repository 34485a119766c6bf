//! Everything that can go wrong between a model file and an answer token.

/// One enum for the crate; `weights`, `kv`, `compute` and `corpus` errors keep their own data as sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{model}: {field} is missing; the file is not a complete model, fetch it again")]
    MissingField { model: String, field: String },
    #[error("{model}: {field} is {got}, expected {expected}")]
    BadField { model: String, field: String, expected: String, got: String },
    #[error("{model}: {what} is not supported; supported are {supported}")]
    Unsupported { model: String, what: String, supported: &'static str },
    #[error(
        "{model}: frequency {frequency} of RoPE is {got:e}, Llama 4 Scout has {expected:e} (scaling factor 16); files \
         converted before April 2025 are wrong: fetch a newer one, or pass --allow-wrong-rope"
    )]
    WrongRope { model: String, frequency: usize, expected: f64, got: f64 },
    #[error("{model}: tensor {tensor} has shape {got:?}, the config asks for {expected:?}")]
    Shape { model: String, tensor: String, expected: Vec<u64>, got: Vec<u64> },
    #[error("token {id} is outside the vocabulary of {vocab}")]
    TokenOutOfRange { id: u32, vocab: usize },
    #[error(
        "{asked} tokens do not fit the model's window of {window}; ask about less or shorten the question"
    )]
    WindowExceeded { asked: u64, window: u64 },
    #[error("{numerics} numerics keep no {dtype} KV; leave the KV type out or choose other numerics")]
    KvDtype { numerics: &'static str, dtype: &'static str },
    #[error("the chat template cannot be rendered: {source}")]
    Template { source: minijinja::Error },
    #[error(
        "the chat template does not keep the message text together, so that no header can be cut from it"
    )]
    TemplateSplitsContent,
    #[error(
        "segment {segment} does not hold rows computed behind {prefix}; read the documents again in this order"
    )]
    OtherPrefix { segment: kv::SegmentId, prefix: kv::SegmentId },
    #[error(
        "segment {segment} holds exact rows, which are valid behind their own prefix alone and cannot be composed with \
         others"
    )]
    ExactRows { segment: kv::SegmentId },
    #[error(
        "cannot start the thread that runs the model: {source}; let the system give this process another thread"
    )]
    Thread { source: std::io::Error },
    #[error("stopped before the end")]
    Cancelled,
    #[error(transparent)]
    Weights(#[from] weights::Error),
    #[error(transparent)]
    Kv(#[from] kv::KvError),
    #[error(transparent)]
    Compute(#[from] compute::Error),
    #[error("{model}: {source}")]
    Tokenizer { model: String, source: Box<corpus::tokens::TokenizerError> },
    #[error("{model}: config.json is not valid: {source}")]
    ConfigJson { model: String, source: serde_json::Error },
}

pub type Result<T> = std::result::Result<T, Error>;
