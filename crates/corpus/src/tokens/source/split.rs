//! How text is split into pieces before merging: by a GGUF file's name for it, or as `tokenizer.json` spells it out.

use serde_json::Value;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

use super::super::TokenizerError;
use super::super::cuts::Boundary;
use super::unsupported;

/// Pre-tokenization of Llama 3 (`tokenizer.json` of that family).
pub const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Pre-tokenization of Llama 4 (`tokenizer.json` of that family).
pub const LLAMA4: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How one family splits text.
pub struct Splitting {
    pub pre_tokenizer: PreTokenizerWrapper,
    pub boundary: Boundary,
    /// Whether a piece that is an entry is taken whole, even where merges would not lead to it.
    pub whole_first: bool,
}

/// Splitting of a GGUF `tokenizer.ggml.pre`.
pub fn named(name: &str) -> Result<Splitting, TokenizerError> {
    let gpt2 = ByteLevel::new(false, true, true);
    let (pre_tokenizer, boundary) = match name {
        "gpt2" | "gpt-2" => (gpt2.into(), Boundary::Gpt2),
        "smollm" => {
            let parts = vec![Digits::new(true).into(), gpt2.into()];
            (PreTokenizerWrapper::Sequence(Sequence::new(parts)), Boundary::Gpt2)
        }
        "llama-bpe" | "llama3" | "llama-v3" => return whole_first(LLAMA3),
        "llama4" => return llama4(),
        _ => return Err(unsupported("tokenizer.ggml.pre", name, "gpt2, smollm, llama-bpe, llama4")),
    };
    Ok(Splitting { pre_tokenizer, boundary, whole_first: false })
}

/// Splitting of Llama 4, whatever file its vocabulary comes from.
pub fn llama4() -> Result<Splitting, TokenizerError> {
    whole_first(LLAMA4)
}

/// The vocabularies made with tiktoken: one expression, and a piece that is a token is never merged.
fn whole_first(pattern: &str) -> Result<Splitting, TokenizerError> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
    let bytes = ByteLevel::new(false, true, false);
    let pre_tokenizer = PreTokenizerWrapper::Sequence(Sequence::new(vec![split.into(), bytes.into()]));
    Ok(Splitting { pre_tokenizer, boundary: Boundary::Llama3, whole_first: true })
}

/// Free cuts of a `pre_tokenizer` object, known by its exact parts.
pub fn json_boundary(pre: &Value) -> Boundary {
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
