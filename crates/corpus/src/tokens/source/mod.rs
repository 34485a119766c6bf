//! A tokenizer's parts as a model file names them, reduced to one shape. One module per kind of file.

pub mod gguf;
pub mod json;
pub mod llama4;
mod split;
pub mod tiktoken;

#[cfg(test)]
pub(super) use split::{LLAMA3, LLAMA4};

use std::collections::HashSet;

use tokenizers::PreTokenizerWrapper;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

use super::TokenizerError;
use super::cuts::Boundary;
use split::Splitting;

/// An added token: text, id, special (never found in document text).
type Added = (String, u32, bool);

/// Everything a tokenizer is made of.
pub struct Source {
    /// Knows the ordinary entries only.
    pub bpe: BPE,
    /// Ordinary entries with their ids.
    pub entries: Vec<(String, u32)>,
    pub added: Vec<Added>,
    pub pre_tokenizer: PreTokenizerWrapper,
    pub boundary: Boundary,
    /// BLAKE3 of what decides the ids.
    pub hash: blake3::Hash,
}

impl Source {
    fn new(
        entries: Vec<(String, u32)>,
        added: Vec<Added>,
        merges: Merges,
        splitting: Splitting,
        hash: blake3::Hash,
    ) -> Result<Self, TokenizerError> {
        let Splitting { pre_tokenizer, boundary, whole_first } = splitting;
        let twice = |token: &String| damaged(format!("token {token:?} appears twice"));
        let mut vocab = Vocab::with_capacity(entries.len());
        for (token, id) in &entries {
            if vocab.insert(token.clone(), *id).is_some() {
                return Err(twice(token));
            }
        }
        let mut names = HashSet::with_capacity(added.len());
        if let Some((name, ..)) =
            added.iter().find(|(name, ..)| vocab.contains_key(name) || !names.insert(name))
        {
            return Err(twice(name));
        }
        let bpe = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(whole_first).build()?;
        Ok(Self { bpe, entries, added, pre_tokenizer, boundary, hash })
    }
}

fn required<T>(value: Option<T>, key: &'static str) -> Result<T, TokenizerError> {
    value.ok_or(TokenizerError::Missing { key })
}

fn unsupported(key: &'static str, got: &str, expected: &'static str) -> TokenizerError {
    TokenizerError::Unsupported { key, got: got.chars().take(80).collect(), expected }
}

fn damaged(detail: String) -> TokenizerError {
    TokenizerError::Damaged { detail }
}
