//! A tokenizer from `tokenizer.json`: byte-level BPE without a normalizer.

use std::collections::HashSet;

use serde_json::Value;
use tokenizers::models::bpe::Merges;

use super::super::TokenizerError;
use super::split::{self, Splitting};
use super::{Added, Source, damaged, unsupported};

pub fn read(bytes: &[u8]) -> Result<Source, TokenizerError> {
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
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
        let value = root.pointer("/model").and_then(|model| model.get(key));
        if let Some(value) = value.filter(|value| !value.is_null() && value.as_str() != Some("")) {
            return Err(unsupported("model", &format!("{key} = {value}"), "byte-level BPE without it"));
        }
    }
    let vocab = root.pointer("/model/vocab").and_then(Value::as_object);
    let vocab = vocab.ok_or(TokenizerError::Missing { key: "model.vocab" })?;
    let added = added_of(&root)?;
    let added_ids: HashSet<u32> = added.iter().map(|(_, id, _)| *id).collect();
    let mut entries = Vec::with_capacity(vocab.len());
    for (token, id) in vocab {
        let id = id_of(id)?;
        if !added_ids.contains(&id) {
            entries.push((token.clone(), id));
        }
    }
    let merges = root.pointer("/model/merges").and_then(Value::as_array);
    let merges = merges.ok_or(TokenizerError::Missing { key: "model.merges" })?;
    let merges = merges.iter().map(pair_of).collect::<Result<Merges, _>>()?;
    let pre = root.get("pre_tokenizer").filter(|value| !value.is_null());
    let pre = pre.ok_or(TokenizerError::Missing { key: "pre_tokenizer" })?;
    if !pre.to_string().contains("\"ByteLevel\"") {
        return Err(unsupported("pre_tokenizer", &pre.to_string(), "one with ByteLevel"));
    }
    let splitting = Splitting {
        boundary: split::json_boundary(pre),
        pre_tokenizer: serde_json::from_value(pre.clone()).map_err(|error| damaged(error.to_string()))?,
        whole_first: root.pointer("/model/ignore_merges").and_then(Value::as_bool).unwrap_or(false),
    };
    let hash = blake3::Hasher::new_derive_key("ibid tokenizer json 1").update(bytes).finalize();
    Source::new(entries, added, merges, splitting, hash)
}

fn added_of(root: &Value) -> Result<Vec<Added>, TokenizerError> {
    let Some(list) = root.get("added_tokens").and_then(Value::as_array) else { return Ok(Vec::new()) };
    list.iter()
        .map(|token| {
            let content = token.get("content").and_then(Value::as_str);
            let content = content.ok_or_else(|| damaged("an added token without content".into()))?;
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            Ok((content.to_owned(), id_of(token.get("id").unwrap_or(&Value::Null))?, special))
        })
        .collect()
}

fn id_of(value: &Value) -> Result<u32, TokenizerError> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.filter(|id| *id < 1 << 24).ok_or_else(|| damaged(format!("token id {value} is no id below 2^24")))
}

fn pair_of(merge: &Value) -> Result<(String, String), TokenizerError> {
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
