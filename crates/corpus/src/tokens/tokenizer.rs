//! [`Tokenizer`]: one model's vocabulary, as the rest of Ibid uses it.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::align::align;
use super::byte_level;
use super::cuts::{self, Boundary};
use super::source::{self, Source};
use super::{Decoder, TokenStream, TokenizerError};

/// Byte-level BPE of one model. Cheap to share behind a reference; encoding takes `&self`.
pub struct Tokenizer {
    /// Knows no added token: text can never produce one.
    plain: tokenizers::Tokenizer,
    /// Finds added tokens in prompts, of several at one place the longest.
    markup: AhoCorasick,
    /// Id of each of its patterns.
    markup_ids: Vec<u32>,
    /// Bytes of every id; empty for ids that no entry has.
    token_bytes: Vec<Box<[u8]>>,
    added: HashMap<String, u32>,
    specials: Vec<bool>,
    has_byte: [bool; 256],
    boundary: Boundary,
    hash: blake3::Hash,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.token_bytes.len())
            .field("hash", &self.hash.to_hex().as_str())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// From a model: the metadata of a GGUF file, or the folder's `tokenizer.json`, or else its `tokenizer.model`.
    pub fn from_model(model: &weights::Model) -> Result<Self, TokenizerError> {
        if model.metadata().get("tokenizer.ggml.model").is_some() {
            return Self::from_gguf(model.metadata());
        }
        if let Some(json) = model.folder_file("tokenizer.json")? {
            return Self::from_json(&json);
        }
        let ranks = model.folder_file("tokenizer.model")?;
        Self::from_tiktoken(
            &ranks.ok_or(TokenizerError::Missing { key: "tokenizer.json or tokenizer.model" })?,
        )
    }

    /// From GGUF metadata (`tokenizer.ggml.*`). An unknown `model` or `pre` is refused by name.
    pub fn from_gguf(metadata: &weights::Metadata) -> Result<Self, TokenizerError> {
        Self::build(source::gguf::read(metadata)?)
    }

    /// From the bytes of a `tokenizer.json` (byte-level BPE, no normalizer).
    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::build(source::json::read(bytes)?)
    }

    /// From the bytes of Llama 4's `tokenizer.model` (tiktoken's form). Its special tokens are not in the file; they
    /// have Meta's names and ids.
    pub fn from_tiktoken(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::build(source::tiktoken::read(bytes, source::llama4::RANKS)?)
    }

    pub(super) fn build(source: Source) -> Result<Self, TokenizerError> {
        let alphabet = byte_level::alphabet();
        let ids = source.entries.iter().map(|(_, id)| *id).chain(source.added.iter().map(|(_, id, _)| *id));
        let size = ids.max().map_or(0, |id| id as usize + 1);
        let mut token_bytes: Vec<Box<[u8]>> = vec![Box::default(); size];
        let mut has_byte = [false; 256];
        for (entry, id) in &source.entries {
            let bytes = byte_level::bytes_of(entry, &alphabet).ok_or_else(|| TokenizerError::Damaged {
                detail: format!("token {entry:?} is not byte-level"),
            })?;
            if let [byte] = bytes.as_slice()
                && let Some(has) = has_byte.get_mut(usize::from(*byte))
            {
                *has = true;
            }
            put(&mut token_bytes, *id, bytes.into());
        }
        let mut specials = vec![false; size];
        for (text, id, special) in &source.added {
            put(&mut token_bytes, *id, text.as_bytes().into());
            put(&mut specials, *id, *special);
        }
        let all_special = source.added.iter().all(|(_, _, special)| *special);
        let mut plain = tokenizers::Tokenizer::new(source.bpe);
        plain.with_pre_tokenizer(Some(source.pre_tokenizer));
        let spelled = || source.added.iter().filter(|(text, _, _)| !text.is_empty());
        let markup = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(spelled().map(|(text, _, _)| text));
        Ok(Self {
            plain,
            markup: markup.map_err(|error| TokenizerError::Library(error.to_string()))?,
            markup_ids: spelled().map(|(_, id, _)| *id).collect(),
            token_bytes,
            added: source.added.into_iter().map(|(text, id, _)| (text, id)).collect(),
            specials,
            has_byte,
            boundary: if all_special { source.boundary } else { Boundary::Unknown },
            hash: source.hash,
        })
    }

    /// Tokens of document text. Special tokens spelled in it stay text: no id of the result is special.
    ///
    /// Long texts are encoded in pieces; `cuts.rs` says why the ids do not change.
    pub fn encode_document(&self, text: &str) -> Result<TokenStream, TokenizerError> {
        self.encode_in_pieces(text, cuts::PIECE, cuts::FORCED)
    }

    pub(super) fn encode_in_pieces(
        &self,
        text: &str,
        piece: usize,
        forced: usize,
    ) -> Result<TokenStream, TokenizerError> {
        let mut stream = TokenStream::default();
        let (mut at, mut rest) = (0, text);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts::piece_len(rest, self.boundary, piece, forced));
            let end = at + now.len();
            let encoding = self.plain.encode_fast(now, false)?;
            let ids = encoding.get_ids();
            if ids.is_empty() {
                // Bytes that the vocabulary lacks belong to the token before them, or to the first one.
                if let Some(last) = stream.spans.last_mut() {
                    last.end = end as u64;
                }
            } else {
                align(now.as_bytes(), at as u64, ids, &self.token_bytes, &self.has_byte, &mut stream.spans)?;
                stream.ids.extend_from_slice(ids);
            }
            (at, rest) = (end, later);
        }
        match stream.spans.first_mut() {
            Some(first) => first.start = 0,
            None if !text.is_empty() => return Err(TokenizerError::NotLossless { offset: 0 }),
            None => {}
        }
        Ok(stream)
    }

    /// Ids of a rendered prompt: special tokens spelled in it become their ids. Nothing is put before or after.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        let mut at = 0;
        for found in self.markup.find_iter(text) {
            self.encode_between(text, at..found.start(), &mut ids)?;
            ids.extend(self.markup_ids.get(found.pattern().as_usize()));
            at = found.end();
        }
        self.encode_between(text, at..text.len(), &mut ids)?;
        Ok(ids)
    }

    /// Appends the ids of `range` of a prompt, which holds no added token.
    fn encode_between(
        &self,
        text: &str,
        range: std::ops::Range<usize>,
        ids: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        let between = text.get(range).unwrap_or_default();
        if !between.is_empty() {
            ids.extend(self.plain.encode_fast(between, false)?.get_ids());
        }
        Ok(())
    }

    /// Id of an added token by its spelling (`<|im_end|>`).
    pub fn special_id(&self, spelling: &str) -> Option<u32> {
        self.added.get(spelling).copied()
    }

    /// Whether an id is a special (control) token.
    pub fn is_special(&self, id: u32) -> bool {
        self.specials.get(id as usize).copied().unwrap_or(false)
    }

    /// Bytes a token stands for; part of a character is possible. A special token gives its spelling.
    pub fn token_bytes(&self, id: u32) -> Result<&[u8], TokenizerError> {
        let unknown = TokenizerError::UnknownToken { id, vocab_size: self.vocab_size() };
        self.token_bytes.get(id as usize).map(|bytes| bytes.as_ref()).ok_or(unknown)
    }

    /// Text of some tokens; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        let mut bytes = Vec::new();
        for &id in ids {
            bytes.extend_from_slice(self.token_bytes(id)?);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A streaming decoder.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder::new(self)
    }

    /// One past the highest id.
    pub fn vocab_size(&self) -> u64 {
        self.token_bytes.len() as u64
    }

    /// Names the tokenizer in segment identities: anything that changes ids changes it.
    pub fn content_hash(&self) -> [u8; 32] {
        *self.hash.as_bytes()
    }
}

/// Writes the entry of an id; the tables are as long as the highest id needs.
fn put<T>(table: &mut [T], id: u32, value: T) {
    if let Some(entry) = table.get_mut(id as usize) {
        *entry = value;
    }
}
