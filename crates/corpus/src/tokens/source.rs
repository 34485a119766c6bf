//! A tokenizer's parts as a model file names them: GGUF metadata or `tokenizer.json`, reduced to one shape.

use serde_json::Value;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};
use weights::Metadata;

use super::TokenizerError;
use super::cuts::Boundary;

/// Everything a tokenizer is made of.
pub struct Source {
    /// Knows the ordinary entries only.
    pub bpe: BPE,
    /// Knows the added tokens too: the library gives an added token the id that its model has for it.
    pub prompt_bpe: BPE,
    /// Ordinary entries with their ids.
    pub entries: Vec<(String, u32)>,
    /// Added tokens: text, id, special (never found in document text).
    pub added: Vec<(String, u32, bool)>,
    pub pre_tokenizer: PreTokenizerWrapper,
    pub boundary: Boundary,
    /// BLAKE3 of what decides the ids.
    pub hash: blake3::Hash,
}

/// Pre-tokenization of Llama 3 (`tokenizer.json` of that family).
pub(super) const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Pre-tokenization of Llama 4 (`tokenizer.json` of that family).
pub(super) const LLAMA4: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Token types of the GGUF specification.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;

impl Source {
    pub fn from_gguf(metadata: &Metadata) -> Result<Self, TokenizerError> {
        let model = required(metadata.str("tokenizer.ggml.model")?, "tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(unsupported("tokenizer.ggml.model", model, "gpt2 (byte-level BPE)"));
        }
        let pre = required(metadata.str("tokenizer.ggml.pre")?, "tokenizer.ggml.pre")?;
        let (pre_tokenizer, boundary, ignore_merges) = pre_tokenizer(pre)?;
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
        let prompt_bpe = build_bpe(&entries, &added, pairs.clone(), ignore_merges)?;
        let bpe = build_bpe(&entries, &[], pairs, ignore_merges)?;
        Ok(Self { bpe, prompt_bpe, entries, added, pre_tokenizer, boundary, hash: hasher.finalize() })
    }

    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let root: Value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let kind = root.pointer("/model/type").and_then(Value::as_str).unwrap_or("BPE");
        if kind != "BPE" {
            return Err(unsupported("model.type", kind, "BPE"));
        }
        if let Some(normalizer) = root.get("normalizer").filter(|value| !value.is_null()) {
            let got = normalizer.get("type").and_then(Value::as_str).unwrap_or("?");
            return Err(unsupported("normalizer", got, "none (offsets must refer to the text as it is)"));
        }
        if root.pointer("/model/byte_fallback").and_then(Value::as_bool).unwrap_or(false) {
            return Err(unsupported("model.byte_fallback", "true", "byte-level BPE"));
        }
        let vocab = root.pointer("/model/vocab").and_then(Value::as_object);
        let vocab = vocab.ok_or(TokenizerError::Missing { key: "model.vocab" })?;
        let added = json_added(&root)?;
        let mut entries = Vec::with_capacity(vocab.len());
        for (token, id) in vocab {
            let id = json_id(id)?;
            if !added.iter().any(|(_, other, _)| *other == id) {
                entries.push((token.clone(), id));
            }
        }
        let merges = root.pointer("/model/merges").and_then(Value::as_array);
        let merges = merges.ok_or(TokenizerError::Missing { key: "model.merges" })?;
        let merges = merges.iter().map(json_merge).collect::<Result<Merges, _>>()?;
        let ignore = root.pointer("/model/ignore_merges").and_then(Value::as_bool).unwrap_or(false);
        let pre = root.get("pre_tokenizer").filter(|value| !value.is_null());
        let pre = pre.ok_or(TokenizerError::Missing { key: "pre_tokenizer" })?;
        if !pre.to_string().contains("\"ByteLevel\"") {
            return Err(unsupported("pre_tokenizer", &pre.to_string(), "one with ByteLevel"));
        }
        let boundary = json_boundary(pre);
        let pre_tokenizer =
            serde_json::from_value(pre.clone()).map_err(|error| damaged(error.to_string()))?;
        let hash = blake3::Hasher::new_derive_key("ibid tokenizer json 1").update(bytes).finalize();
        let prompt_bpe = build_bpe(&entries, &added, merges.clone(), ignore)?;
        let bpe = build_bpe(&entries, &[], merges, ignore)?;
        Ok(Self { bpe, prompt_bpe, entries, added, pre_tokenizer, boundary, hash })
    }
}

fn build_bpe(
    entries: &[(String, u32)],
    added: &[(String, u32, bool)],
    merges: Merges,
    ignore_merges: bool,
) -> Result<BPE, TokenizerError> {
    let mut vocab = Vocab::with_capacity(entries.len() + added.len());
    for (token, id) in
        entries.iter().map(|(token, id)| (token, id)).chain(added.iter().map(|(t, id, _)| (t, id)))
    {
        if vocab.insert(token.clone(), *id).is_some() {
            return Err(damaged(format!("token {token:?} appears twice")));
        }
    }
    Ok(BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(ignore_merges).build()?)
}

/// Pre-tokenizer, free cuts and "whole words before merges" of a GGUF `tokenizer.ggml.pre`.
fn pre_tokenizer(name: &str) -> Result<(PreTokenizerWrapper, Boundary, bool), TokenizerError> {
    let split = |pattern: &str| -> Result<PreTokenizerWrapper, TokenizerError> {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
        let bytes = ByteLevel::new(false, true, false);
        Ok(PreTokenizerWrapper::Sequence(Sequence::new(vec![split.into(), bytes.into()])))
    };
    let gpt2 = ByteLevel::new(false, true, true);
    match name {
        "gpt2" | "gpt-2" => Ok((gpt2.into(), Boundary::Gpt2, false)),
        "smollm" => {
            let parts = vec![Digits::new(true).into(), gpt2.into()];
            Ok((PreTokenizerWrapper::Sequence(Sequence::new(parts)), Boundary::Gpt2, false))
        }
        "llama-bpe" | "llama3" | "llama-v3" => Ok((split(LLAMA3)?, Boundary::Llama3, true)),
        "llama4" => Ok((split(LLAMA4)?, Boundary::Llama3, false)),
        _ => Err(unsupported("tokenizer.ggml.pre", name, "gpt2, smollm, llama-bpe, llama4")),
    }
}

/// Free cuts of a `pre_tokenizer` object, known by its exact parts.
fn json_boundary(pre: &Value) -> Boundary {
    let parts = match pre.get("pretokenizers").and_then(Value::as_array) {
        Some(parts) => parts.iter().collect(),
        None => vec![pre],
    };
    let kind = |part: &Value| part.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    let kinds: Vec<String> = parts.iter().map(|part| kind(part)).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let flag = |part: &Value, key: &str| part.get(key).and_then(Value::as_bool).unwrap_or(key == "use_regex");
    let last = parts.last().copied();
    let prefix = last.is_some_and(|part| flag(part, "add_prefix_space"));
    match kinds.as_slice() {
        ["ByteLevel"] | ["Digits", "ByteLevel"] if !prefix && last.is_some_and(|p| flag(p, "use_regex")) => {
            Boundary::Gpt2
        }
        ["Split", "ByteLevel"] => {
            let pattern =
                parts.first().and_then(|part| part.pointer("/pattern/Regex")).and_then(Value::as_str);
            let known = matches!(pattern, Some(LLAMA3 | LLAMA4));
            if known && !prefix { Boundary::Llama3 } else { Boundary::Unknown }
        }
        _ => Boundary::Unknown,
    }
}

fn json_added(root: &Value) -> Result<Vec<(String, u32, bool)>, TokenizerError> {
    let Some(list) = root.get("added_tokens").and_then(Value::as_array) else { return Ok(Vec::new()) };
    list.iter()
        .map(|token| {
            let content = token.get("content").and_then(Value::as_str);
            let content = content.ok_or_else(|| damaged("an added token without content".into()))?;
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            Ok((content.to_owned(), json_id(token.get("id").unwrap_or(&Value::Null))?, special))
        })
        .collect()
}

fn json_id(value: &Value) -> Result<u32, TokenizerError> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.filter(|id| *id < 1 << 24).ok_or_else(|| damaged(format!("token id {value} is no id below 2^24")))
}

fn json_merge(merge: &Value) -> Result<(String, String), TokenizerError> {
    let pair = match merge {
        Value::String(text) => text.split_once(' '),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
            _ => None,
        },
        _ => None,
    };
    let (left, right) = pair.ok_or_else(|| damaged(format!("merge {merge} is not a pair")))?;
    Ok((left.to_owned(), right.to_owned()))
}

fn feed(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
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
