//! A tokenizer from `tokenizer.model` in tiktoken's form: a token a line, `base64 rank`, its rank being its id.
//!
//! The file names neither special tokens nor how text is split, so the vocabulary must be one that is known: Llama 4.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokenizers::models::bpe::Merges;

use super::super::{TokenizerError, byte_level};
use super::{Source, llama4, split, unsupported};

/// Most bytes of a line. Llama 4's longest token has 113 bytes, its line 159.
const MAX_LINE_BYTES: usize = 256;
/// Most merges. Llama 4's ranks give 439,802; a vocabulary made for it could give 185 for each of its tokens.
const MAX_MERGES: usize = 1 << 20;

/// Tokens by rank.
type Ranks = Vec<Box<[u8]>>;

/// The tokenizer of a file with `ranks` lines ([`llama4::RANKS`], fewer in tests).
pub fn read(bytes: &[u8], ranks: u32) -> Result<Source, TokenizerError> {
    // The first field of a SentencePiece model is a piece, whose first field is its text.
    if bytes.first() == Some(&0x0a) && bytes.get(2) == Some(&0x0a) {
        let expected = "tiktoken's lines of `base64 rank`; other kinds need a tokenizer.json";
        return Err(unsupported("tokenizer.model", "a SentencePiece model", expected));
    }
    let table = parse(bytes, ranks)?;
    let alphabet = byte_level::alphabet();
    let spelled: Vec<String> = table.iter().map(|token| byte_level::spell(token, &alphabet)).collect();
    let name = |rank: u32| spelled.get(rank as usize).cloned().unwrap_or_default();
    let merges: Merges = merges(&table)?.into_iter().map(|(left, right)| (name(left), name(right))).collect();
    let entries = spelled.into_iter().zip(0..).collect();
    let added = llama4::specials().into_iter().zip(ranks..).map(|(name, id)| (name, id, true)).collect();
    let hash = blake3::Hasher::new_derive_key("ibid tokenizer tiktoken llama4 1").update(bytes).finalize();
    Source::new(entries, added, merges, split::llama4()?, hash)
}

/// Every rank below `ranks` once, no token twice, and a token for every byte.
fn parse(bytes: &[u8], ranks: u32) -> Result<Ranks, TokenizerError> {
    let mut table: Ranks = vec![Box::default(); ranks as usize];
    let mut got = 0;
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (line, number) in body.split(|byte| *byte == b'\n').zip(1u64..) {
        if number > u64::from(ranks) {
            return Err(TokenizerError::RankLimit { what: "lines", limit: ranks.into() });
        }
        let fault = |reason: String| TokenizerError::RankLine { line: number, reason };
        let (token, rank) = parse_line(line.trim_ascii_end()).map_err(fault)?;
        match table.get_mut(rank as usize) {
            None => return Err(fault(format!("rank {rank} is past the last one, {}", ranks - 1))),
            Some(entry) if !entry.is_empty() => return Err(fault(format!("rank {rank} appears twice"))),
            Some(entry) => *entry = token.into(),
        }
        got = number;
    }
    if let Some(missing) = table.iter().position(|token| token.is_empty()) {
        let (missing, expected) = (missing as u64, ranks.into());
        return Err(TokenizerError::RankMissing { missing, got, expected });
    }
    Ok(table)
}

fn parse_line(line: &[u8]) -> Result<(Vec<u8>, u32), String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("{} bytes, at most {MAX_LINE_BYTES} are read", line.len()));
    }
    let text = std::str::from_utf8(line).ok().filter(|text| text.is_ascii());
    let (token, rank) = text.and_then(|text| text.split_once(' ')).ok_or("it is not `base64 rank`")?;
    let token = STANDARD.decode(token).map_err(|error| format!("bad base64: {error}"))?;
    if token.is_empty() {
        return Err("the token is empty".into());
    }
    let digits = rank.bytes().all(|byte| byte.is_ascii_digit());
    let rank = rank.parse().ok().filter(|_| digits).ok_or_else(|| format!("{rank:?} is not a rank"))?;
    Ok((token, rank))
}

/// Pairs of ranks in the order of merging: a token may be made from any two others, the lowest token first.
///
/// tiktoken has no list of merges; it joins whichever neighbours make the token of lowest rank. Pairs that make the same
/// token are ordered by their own ranks, as in Hugging Face's conversion.
fn merges(table: &Ranks) -> Result<Vec<(u32, u32)>, TokenizerError> {
    let mut rank_of: HashMap<&[u8], u32> = HashMap::with_capacity(table.len());
    for (token, rank) in table.iter().zip(0..) {
        if let Some(first) = rank_of.insert(token, rank) {
            return Err(TokenizerError::RankTwice { first, second: rank });
        }
    }
    if let Some(byte) = (0..=u8::MAX).find(|byte| !rank_of.contains_key([*byte].as_slice())) {
        return Err(TokenizerError::ByteMissing { byte });
    }
    let mut merges = Vec::new();
    for token in table {
        let from = merges.len();
        for middle in 1..token.len() {
            let (left, right) = token.split_at(middle);
            if let (Some(left), Some(right)) = (rank_of.get(left), rank_of.get(right)) {
                merges.push((*left, *right));
            }
        }
        if let Some(of_token) = merges.get_mut(from..) {
            of_token.sort_unstable();
        }
        if merges.len() > MAX_MERGES {
            return Err(TokenizerError::RankLimit { what: "merges", limit: MAX_MERGES as u64 });
        }
    }
    Ok(merges)
}
