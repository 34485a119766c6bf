//! Vocabularies in tiktoken's form: a tiny one that is always there, and Llama 4's where its file is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::tokens::source::{LLAMA4, llama4, tiktoken};

/// One vocabulary, read in both forms.
pub struct Vocabulary {
    pub tokens: Vec<Vec<u8>>,
    pub ranks: HashMap<Vec<u8>, u32>,
    pub ranked: Tokenizer,
    pub converted: Tokenizer,
}

impl Vocabulary {
    fn new(tokens: Vec<Vec<u8>>) -> Self {
        let ranked = read(&lines(&tokens), tokens.len() as u32).expect("a vocabulary");
        let json = converted(&tokens).to_string();
        let converted = Tokenizer::from_json(json.as_bytes()).expect("its conversion");
        let ranks = tokens.iter().cloned().zip(0..).collect();
        Self { tokens, ranks, ranked, converted }
    }
}

/// The tiny vocabulary, then Llama 4's.
pub fn all() -> impl Iterator<Item = &'static Vocabulary> {
    static TINY: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::new(tiny_tokens()));
    std::iter::once(&*TINY).chain(real())
}

/// Llama 4's vocabulary. Its file is too large to keep here.
pub fn real() -> Option<&'static Vocabulary> {
    static REAL: LazyLock<Option<Vocabulary>> =
        LazyLock::new(|| Some(Vocabulary::new(parsed(&real_file()?))));
    REAL.as_ref()
}

pub fn real_file() -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bytes = std::fs::read(root.join("../shared/fixtures/llama4/tokenizer.model"));
    if bytes.is_err() {
        eprintln!("skipped: there is no ../shared/fixtures/llama4/tokenizer.model");
    }
    bytes.ok()
}

fn parsed(file: &[u8]) -> Vec<Vec<u8>> {
    let lines = std::str::from_utf8(file).expect("text").lines();
    lines.map(|line| STANDARD.decode(line.split(' ').next().expect("a token")).expect("base64")).collect()
}

/// All bytes, in an order of their own, and some words; the last ones are out of the reach of merging.
pub fn tiny_tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = (0..256u32).map(|rank| vec![(rank * 167 + 13) as u8]).collect();
    for word in [
        "th", "the", " a", " the", "he", "er", "bc", "abc", "ab", "aa", "aaa", "  ", "\n\n", "é", "日",
        "日本", "e\u{301}", "12", "<|", "|>", "eot", " xyzzy", "plugh",
    ] {
        tokens.push(word.into());
    }
    tokens.push("🎉".as_bytes()[..2].into());
    tokens
}

/// The file of a vocabulary.
pub fn lines(tokens: &[Vec<u8>]) -> String {
    tokens.iter().enumerate().map(|(rank, token)| format!("{} {rank}\n", STANDARD.encode(token))).collect()
}

pub fn read(file: &str, ranks: u32) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::build(tiktoken::read(file.as_bytes(), ranks)?)
}

pub fn merges(tokens: &[Vec<u8>]) -> Vec<[String; 2]> {
    let alphabet = byte_level::alphabet();
    let ranks: HashMap<&[u8], usize> = tokens.iter().map(Vec::as_slice).zip(0..).collect();
    let mut merges = Vec::new();
    for (rank, token) in tokens.iter().enumerate() {
        for (left, right) in (1..token.len()).map(|middle| token.split_at(middle)) {
            if let (Some(a), Some(b)) = (ranks.get(left), ranks.get(right)) {
                merges.push((rank, *a, *b, [left, right].map(|part| byte_level::spell(part, &alphabet))));
            }
        }
    }
    merges.sort();
    merges.into_iter().map(|(.., pair)| pair).collect()
}

/// `tokenizer.json` as Hugging Face's conversion of a vocabulary writes it.
fn converted(tokens: &[Vec<u8>]) -> Value {
    let alphabet = byte_level::alphabet();
    let spelled = tokens.iter().map(|token| byte_level::spell(token, &alphabet));
    let vocab: serde_json::Map<String, Value> =
        spelled.zip(0..).map(|(token, id)| (token, id.into())).collect();
    let mut specials = llama4::specials();
    specials.truncate(1134);
    specials.push("<|finetune_right_pad_id|>".into());
    let added = specials.iter().zip(tokens.len()..).map(|(content, id)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    });
    let bytes =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let start = json!({ "id": "<|begin_of_text|>", "ids": [tokens.len()], "tokens": ["<|begin_of_text|>"] });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": split(LLAMA4),
        "post_processor": { "type": "Sequence", "processors": [bytes, {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<|begin_of_text|>", "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [], "special_tokens": { "<|begin_of_text|>": start } }] },
        "decoder": bytes,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": vocab, "merges": merges(tokens) },
    })
}
