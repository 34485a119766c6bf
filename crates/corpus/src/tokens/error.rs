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
    #[error("tokenizer.model, line {line}: {reason}")]
    RankLine { line: u64, reason: String },
    #[error("tokenizer.model has more than {limit} {what}")]
    RankLimit { what: &'static str, limit: u64 },
    #[error(
        "tokenizer.model has {got} tokens and none of rank {missing}; Llama 4 has {expected}, other vocabularies need a tokenizer.json"
    )]
    RankMissing { missing: u64, got: u64, expected: u64 },
    #[error("tokenizer.model has one token under the ranks {first} and {second}")]
    RankTwice { first: u32, second: u32 },
    #[error("tokenizer.model has no token for the byte {byte:#04x}")]
    ByteMissing { byte: u8 },
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
