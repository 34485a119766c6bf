//! Quotable units: whole sentences, table rows, list items, headings and code lines.
//!
//! Sentence borders are those of UAX #29 (`unicode-segmentation`) with our own rules on top: a line end inside a
//! paragraph is no border, nor is the dot of an abbreviation, an initial or a list number.

use base::ByteSpan;
use unicode_segmentation::UnicodeSegmentation;

use crate::tokens::TokenStream;
use crate::{Block, BlockKind};

/// The least that is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Trimmed of white space; never empty.
    pub bytes: ByteSpan,
    /// Kind of the block it lies in.
    pub kind: BlockKind,
    /// Number of the block it lies in, from 0.
    pub block: u64,
    /// A stretch of an over-long unit, cut at a token border.
    pub cut: bool,
}

/// A list item longer than this is quoted by sentence.
const LONG_ITEM: usize = 400;

/// Units of a text in order; they do not overlap. `blocks` are those of the text's extraction.
pub fn units(text: &str, blocks: &[Block]) -> Vec<Unit> {
    let mut found = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let start = block.bytes.start as usize;
        let body = slice(text, block.bytes);
        let mut push = |from: usize, to: usize| {
            if let Some(bytes) = trimmed(text, start + from, start + to) {
                found.push(Unit { bytes, kind: block.kind, block: index as u64, cut: false });
            }
        };
        match block.kind {
            BlockKind::Heading(_) | BlockKind::TableRow => push(0, body.len()),
            BlockKind::ListItem if body.len() <= LONG_ITEM => push(0, body.len()),
            BlockKind::Paragraph | BlockKind::ListItem => sentences(body, push),
            BlockKind::Code => {
                let mut at = 0;
                for line in body.split_inclusive(['\n', '\r', '\u{2028}']) {
                    push(at, at + line.len());
                    at += line.len();
                }
            }
        }
    }
    found
}

/// Cuts units of more than `max_tokens` tokens at token borders and marks the pieces.
pub fn fit(text: &str, units: Vec<Unit>, stream: &TokenStream, max_tokens: u64) -> Vec<Unit> {
    assert!(max_tokens >= 8, "a passage of {max_tokens} tokens cannot hold a character");
    let mut fitting = Vec::with_capacity(units.len());
    for unit in units {
        let tokens = stream.covering(unit.bytes);
        if tokens.len() <= max_tokens {
            fitting.push(unit);
            continue;
        }
        let (mut start, mut token) = (unit.bytes.start, tokens.start);
        while start < unit.bytes.end {
            // One token less than allowed: a piece that starts inside a token shares it with the piece before.
            token = (token + max_tokens - 1).min(tokens.end);
            let border = stream.bytes_of(base::TokenSpan::new(token - 1, token)).end;
            let end = floor(text, border.min(unit.bytes.end)).max(start);
            let end = if end == start { ceil(text, border.min(unit.bytes.end)) } else { end };
            if let Some(bytes) = trimmed(text, start as usize, end as usize) {
                fitting.push(Unit { bytes, cut: true, ..unit });
            }
            token = stream.covering(ByteSpan::new(end, end + 1)).start.max(tokens.start);
            start = end;
        }
    }
    fitting
}

/// Calls `push(from, to)` for each sentence.
fn sentences(text: &str, mut push: impl FnMut(usize, usize)) {
    let mut start = 0;
    let mut borders = text.split_sentence_bound_indices().peekable();
    while let Some((at, segment)) = borders.next() {
        let end = at + segment.len();
        let Some((_, next)) = borders.peek() else {
            push(start, end);
            break;
        };
        let (before, after) = text.split_at(end);
        if is_border(before.get(start..).unwrap_or_default(), after, next) {
            push(start, end);
            start = end;
        }
    }
}

/// Whether the sentence ends between `before` and `after`, whose first segment is `next`.
fn is_border(before: &str, after: &str, next: &str) -> bool {
    let line_end = before.ends_with(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}']);
    if line_end && (starts_item(after) || is_label_border(before, after)) {
        return true;
    }
    let spaced = before.ends_with(char::is_whitespace);
    let before = before.trim_end();
    let core = before.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']', '}', '」', '』', '）', '】']);
    let Some(last) = core.chars().next_back() else { return false };
    // "README.中文", "/x?y=1": a sentence in an alphabet ends before a space.
    if !is_terminator(last) || (last.is_ascii() && !spaced) {
        return false;
    }
    if last != '.' {
        return true;
    }
    let next = next.trim_start();
    if next.starts_with(|c: char| c.is_lowercase()) {
        return false;
    }
    let word = core.trim_end_matches('.').rsplit(|c: char| c.is_whitespace()).next().unwrap_or("");
    let word = word.trim_start_matches(['(', '[', '"', '“', '‘', '\'', '«']);
    let trails_off = core.ends_with("..") && next.is_empty();
    !trails_off && !keeps_going(word, core)
}

/// Whether the dot after `word` belongs to it: an initial, an abbreviation, or the number of a list item.
fn keeps_going(word: &str, sentence: &str) -> bool {
    let mut chars = word.chars();
    if let (Some(first), None) = (chars.next(), chars.next()) {
        // "J. Smith"; but "vitamin C." or "I." after lower case words cannot be told apart and stay together.
        return first.is_uppercase() || sentence.trim_start().trim_end_matches('.') == word;
    }
    let number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    if number && sentence.trim_start().trim_end_matches('.') == word {
        return true;
    }
    // "U.S.", "Ph.D.": initials without spaces.
    if word.contains('.') && word.split('.').all(|part| part.chars().count() <= 2 && !part.is_empty()) {
        return word.starts_with(char::is_uppercase);
    }
    let lower = word.to_lowercase();
    ABBREVIATIONS.binary_search(&lower.as_str()).is_ok()
}

/// Abbreviations that something always follows. Sorted. Those that often end a sentence ("etc", "Inc") are left out.
const ABBREVIATIONS: &[&str] = &[
    "approx", "art", "bzw", "ca", "capt", "cf", "ch", "chap", "col", "d.h", "dr", "e.g", "ed", "eds", "eq",
    "eqs", "fig", "figs", "gen", "gov", "hon", "i.e", "lt", "m.a.w", "messrs", "mlle", "mme", "mr", "mrs",
    "ms", "no", "nos", "nr", "p", "pp", "prof", "ref", "refs", "rev", "sec", "sect", "sen", "sgt", "st",
    "tab", "u.a", "viz", "vol", "vols", "vs", "z.b",
];

fn is_terminator(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | '…'
            | '。'
            | '！'
            | '？'
            | '｡'
            | '．'
            | '؟'
            | '۔'
            | '।'
            | '॥'
            | '։'
            | '።'
            | '፧'
            | '᙮'
            | '‼'
            | '⁇'
            | '⁈'
            | '⁉'
            | '‽'
            | '။'
            | '།'
            | '។'
            | '៕'
    )
}

/// Whether a line starts like a list item.
fn starts_item(line: &str) -> bool {
    let line = line.trim_start();
    if line
        .strip_prefix(['•', '◦', '▪', '‣', '–', '-', '*'])
        .is_some_and(|rest| rest.starts_with([' ', '\t']))
    {
        return true;
    }
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    (1..=3).contains(&(line.len() - rest.len()))
        && rest.strip_prefix(['.', ')']).is_some_and(|rest| rest.starts_with([' ', '\t']))
}

/// Lines of the form `Atomic number: 1` are units of their own: one begins where the line before is no full line of
/// prose, and ends before a capital.
fn is_label_border(before: &str, after: &str) -> bool {
    let above = before.trim_end().lines().next_back().unwrap_or("").trim();
    let below = after.lines().next().unwrap_or("").trim();
    let short = above.chars().count() <= LABEL_LINE;
    short && (is_label(below) || (is_label(above) && below.starts_with(char::is_uppercase)))
}

/// Characters of a labelled line, at most.
const LABEL_LINE: usize = 48;

/// `Words: value`, one to four words before the colon.
fn is_label(line: &str) -> bool {
    let Some((label, value)) = line.split_once(": ") else { return false };
    line.chars().count() <= LABEL_LINE
        && !value.trim().is_empty()
        && label.starts_with(|c: char| c.is_uppercase() || c.is_numeric())
        && (1..=4).contains(&label.split_whitespace().count())
        && !label.contains(['.', ',', ';', '(', '"'])
}

fn trimmed(text: &str, start: usize, end: usize) -> Option<ByteSpan> {
    let body = text.get(start..end).unwrap_or_default();
    let front = body.len() - body.trim_start().len();
    let inner = body.trim();
    (!inner.is_empty()).then(|| ByteSpan::new((start + front) as u64, (start + front + inner.len()) as u64))
}

/// Text of a span of this text; empty for any other span.
pub(crate) fn slice(text: &str, bytes: ByteSpan) -> &str {
    text.get(bytes.start as usize..bytes.end as usize).unwrap_or_default()
}

fn floor(text: &str, at: u64) -> u64 {
    text.floor_char_boundary(at as usize) as u64
}

fn ceil(text: &str, at: u64) -> u64 {
    text.ceil_char_boundary(at as usize) as u64
}

#[cfg(test)]
mod tests;
