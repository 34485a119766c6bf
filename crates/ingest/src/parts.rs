//! Passages → parts: the stretches that are prefilled in one go, and the document header each opens with.

use base::TokenSpan;
use catalog::{Digest, NewPart, Passage};
use corpus::tokens::TokenizerError;
use kv::SegmentSpec;
use scout::Engine;

/// Most tokens of one part, its document header included.
pub const MAX_PART_TOKENS: u64 = 1_024;
/// The same for a model whose questions see whole documents: attention inside a document ends at its parts. A multiple of
/// every usual attention chunk; the rows of one part are in memory until it is written.
pub const MAX_NATIVE_PART_TOKENS: u64 = 65_536;
/// Most tokens of a document header; a longer one is cut.
pub const MAX_HEADER_TOKENS: usize = 48;

/// What a part is computed from.
pub(crate) struct PlannedPart {
    pub tokens: TokenSpan,
    pub spec: SegmentSpec,
}

impl PlannedPart {
    pub fn new_part(&self) -> NewPart {
        NewPart { tokens: self.tokens, segment: Digest(self.spec.id().0) }
    }
}

/// Most tokens of one part that `engine` prefills.
pub fn max_part_tokens(engine: &Engine) -> u64 {
    if engine.sees_everything() { MAX_NATIVE_PART_TOKENS } else { MAX_PART_TOKENS }
}

/// The text and tokens that open a part: the document's title and the headings above the part's first passage, a
/// line each, cut to 48 tokens.
pub fn document_header(
    engine: &Engine,
    title: &str,
    heading: &str,
) -> Result<(String, Vec<u32>), TokenizerError> {
    let mut text = format!("{}\n", one_line(title));
    if !heading.is_empty() {
        text.push_str(&one_line(heading));
        text.push('\n');
    }
    let mut tokens = engine.tokenizer().encode_document(&text)?;
    let whole = |at: usize| tokens.spans[..at].last().map_or(0, |span| span.end as usize);
    let kept = (0..=tokens.ids.len().min(MAX_HEADER_TOKENS))
        .rev()
        .find(|at| text.is_char_boundary(whole(*at)))
        .unwrap_or(0);
    text.truncate(whole(kept));
    tokens.ids.truncate(kept);
    Ok((text, tokens.ids))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a document into parts and names the segment of each. `ids`: the document's tokens.
pub(crate) fn plan_parts(
    engine: &Engine,
    title: &str,
    ids: &[u32],
    passages: &[Passage],
) -> Result<Vec<PlannedPart>, TokenizerError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(first) = passages.get(at) {
        let (text, mut tokens) = document_header(engine, title, &first.heading)?;
        let room = max_part_tokens(engine) - tokens.len() as u64;
        let (own, next) = cut(passages, at, room, ids.len() as u64);
        tokens.extend_from_slice(&ids[own.start as usize..own.end as usize]);
        let spec = engine.segment_spec(engine.part_context(&text), tokens);
        parts.push(PlannedPart { tokens: own, spec });
        at = next;
    }
    Ok(parts)
}

/// The longest run of whole passages from `at` on that fits `room` tokens, at least one; and the passage after it.
/// White space between passages belongs to the part before it, as far as there is room. Two parts may share the
/// token on their border.
fn cut(passages: &[Passage], at: usize, room: u64, n_tokens: u64) -> (TokenSpan, usize) {
    let start = if at == 0 && passages[0].tokens.end <= room { 0 } else { passages[at].tokens.start };
    let fits = |passage: &&Passage| passage.tokens.end - start <= room;
    let n = passages[at..].iter().take_while(fits).count().max(1);
    let end = passages[at..at + n].iter().map(|p| p.tokens.end).max().unwrap_or(start);
    let border = passages.get(at + n).map_or(n_tokens, |next| next.tokens.start);
    (TokenSpan::new(start, end.max(border.min(start + room))), at + n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ByteSpan;

    fn passages(spans: &[(u64, u64)]) -> Vec<Passage> {
        let passage = |(idx, &(start, end)): (u64, &(u64, u64))| Passage {
            idx,
            bytes: ByteSpan::new(start, end),
            tokens: TokenSpan::new(start, end),
            pages: None,
            heading: String::new(),
        };
        (0..).zip(spans).map(passage).collect()
    }

    fn cuts(spans: &[(u64, u64)], room: u64, n_tokens: u64) -> Vec<(u64, u64)> {
        let (passages, mut at, mut cuts) = (passages(spans), 0, Vec::new());
        while at < passages.len() {
            let (own, next) = cut(&passages, at, room, n_tokens);
            cuts.push((own.start, own.end));
            at = next;
        }
        cuts
    }

    #[test]
    fn whole_passages_fill_a_part_and_gaps_go_to_the_part_before() {
        assert_eq!(cuts(&[(0, 40), (41, 80), (82, 120)], 100, 125), [(0, 82), (82, 125)]);
        assert_eq!(
            cuts(&[(3, 40), (40, 80)], 100, 80),
            [(0, 80)],
            "leading white space is kept where it fits"
        );
    }

    #[test]
    fn a_shared_border_token_is_in_both_parts() {
        assert_eq!(cuts(&[(0, 60), (59, 100)], 70, 100), [(0, 60), (59, 100)]);
    }

    #[test]
    fn no_part_passes_its_room_for_white_space() {
        assert_eq!(cuts(&[(0, 40), (500, 540)], 100, 900), [(0, 100), (500, 600)]);
        assert_eq!(cuts(&[(90, 130)], 100, 130), [(90, 130)]);
    }
}
