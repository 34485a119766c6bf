//! A tokenizer from GGUF metadata (`tokenizer.ggml.*`).

use tokenizers::models::bpe::Merges;
use weights::Metadata;

use super::super::TokenizerError;
use super::{Source, damaged, required, split, unsupported};

/// Token types of the GGUF specification.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;

pub fn read(metadata: &Metadata) -> Result<Source, TokenizerError> {
    let model = required(metadata.str("tokenizer.ggml.model")?, "tokenizer.ggml.model")?;
    if model != "gpt2" {
        return Err(unsupported("tokenizer.ggml.model", model, "gpt2 (byte-level BPE)"));
    }
    let pre = required(metadata.str("tokenizer.ggml.pre")?, "tokenizer.ggml.pre")?;
    let splitting = split::named(pre)?;
    let tokens = required(metadata.str_array("tokenizer.ggml.tokens")?, "tokenizer.ggml.tokens")?;
    let merges = required(metadata.str_array("tokenizer.ggml.merges")?, "tokenizer.ggml.merges")?;
    let types = metadata.u64_array("tokenizer.ggml.token_type")?.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(damaged(format!("{} token types for {} tokens", types.len(), tokens.len())));
    }
    let mut hasher = blake3::Hasher::new_derive_key("ibid tokenizer gguf 1");
    feed(&mut hasher, pre);
    let (mut entries, mut added) = (Vec::with_capacity(tokens.len()), Vec::new());
    for (index, token) in tokens.iter().enumerate() {
        let id = u32::try_from(index).map_err(|_| damaged("more than 2^32 tokens".into()))?;
        let kind = types.get(index).copied().unwrap_or(1);
        feed(&mut hasher, token);
        hasher.update(&kind.to_le_bytes());
        match kind {
            CONTROL | UNUSED => added.push((token.clone(), id, true)),
            USER_DEFINED => added.push((token.clone(), id, false)),
            _ => entries.push((token.clone(), id)),
        }
    }
    let mut pairs: Merges = Vec::with_capacity(merges.len());
    for merge in merges {
        feed(&mut hasher, merge);
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(damaged(format!("merge {merge:?} is not a pair")));
        };
        pairs.push((left.to_owned(), right.to_owned()));
    }
    Source::new(entries, added, pairs, splitting, hasher.finalize())
}

fn feed(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
}
