//! Why a tokenizer cannot be built or a text cannot be encoded.

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    #[error("the model names no {key}; use a complete GGUF file or tokenizer.json")]
    Missing { key: &'static str },
    #[error("{key} = {got:?} is not supported; supported are {expected}")]
    Unsupported { key: &'static str, got: String, expected: &'static str },
    #[error("damaged tokenizer: {detail}")]
    Damaged { detail: String },
    #[error("token {id} is past the vocabulary of {vocab_size}")]
    UnknownToken { id: u32, vocab_size: u64 },
    #[error(
        "tokens do not give back the text near byte {offset}; this tokenizer changes text and cannot be cited"
    )]
    NotLossless { offset: u64 },
    #[error("cannot read the model's tokenizer")]
    Weights(#[from] weights::Error),
    #[error("tokenizer library: {0}")]
    Library(String),
}

impl From<tokenizers::Error> for TokenizerError {
    fn from(error: tokenizers::Error) -> Self {
        Self::Library(error.to_string())
    }
}
