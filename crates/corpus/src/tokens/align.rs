//! Exact bytes of each token: the vocabulary knows every token's bytes, so lengths add up to spans.
//!
//! A vocabulary may lack some bytes (SmolLM2's lacks 0xf1 and a few control codes). The library leaves such a byte
//! out; it then belongs to the token before it (or to the first token), so that spans still touch.

use base::ByteSpan;

use super::TokenizerError;

/// Appends the spans of `ids`, which encode `text`, whose first byte is `offset` in the document.
pub fn align(
    text: &[u8],
    offset: u64,
    ids: &[u32],
    token_bytes: &[Box<[u8]>],
    has_byte: &[bool; 256],
    spans: &mut Vec<ByteSpan>,
) -> Result<(), TokenizerError> {
    let mut at = 0usize;
    let mut start = 0usize;
    for (index, &id) in ids.iter().enumerate() {
        let entry = usize::try_from(id).ok().and_then(|id| token_bytes.get(id));
        let Some(entry) = entry else {
            return Err(TokenizerError::UnknownToken { id, vocab_size: token_bytes.len() as u64 });
        };
        let mut end = at;
        for &byte in entry.iter() {
            // A whole word may hold a byte that has no entry by itself, so the byte as it stands comes first.
            if text.get(end) != Some(&byte) {
                end = skip_absent(text, end, has_byte);
            }
            if text.get(end) != Some(&byte) {
                return Err(TokenizerError::NotLossless { offset: offset + end as u64 });
            }
            end += 1;
        }
        end = skip_absent(text, end, has_byte);
        at = end;
        spans.push(ByteSpan::new(offset + start as u64, offset + end as u64));
        start = end;
        if index + 1 == ids.len() && end != text.len() {
            return Err(TokenizerError::NotLossless { offset: offset + end as u64 });
        }
    }
    Ok(())
}

fn skip_absent(text: &[u8], mut at: usize, has_byte: &[bool; 256]) -> usize {
    while text.get(at).is_some_and(|&byte| !has_byte.get(usize::from(byte)).is_some_and(|has| *has)) {
        at += 1;
    }
    at
}
