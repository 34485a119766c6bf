//! Passages: runs of whole units that fit the retrieval window. Last stop of this crate.

use base::{ByteSpan, TokenSpan};

use crate::tokens::TokenStream;
use crate::units::{self, Unit, slice};
use crate::{BlockKind, Extracted, PageMark};

/// Tokens of a passage at most.
pub const MAX_TOKENS: u64 = 256;

/// One unit of retrieval: whole units of one document, at most 256 tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Number within the document, from 0.
    pub index: u64,
    pub bytes: ByteSpan,
    /// The tokens that cover `bytes`: a border token may reach past it on either side.
    pub tokens: TokenSpan,
    /// Page indexes from 1; `None` where the format has no pages.
    pub page_start: Option<u32>,
    pub page_end: Option<u32>,
    /// Headings above, outermost first, joined by ` › `; the first row of a delimited file. Empty where there are none.
    pub heading: String,
}

/// Units and passages of one document. `stream` encodes `document.text`; every unit lies in exactly one passage.
///
/// A heading starts a passage; a block that fits one passage is not torn apart, unless only headings stand before it.
pub fn passages(document: &Extracted, stream: &TokenStream, max_tokens: u64) -> (Vec<Unit>, Vec<Passage>) {
    let text = document.text.as_str();
    let units = units::fit(text, units::units(text, &document.blocks), stream, max_tokens);
    let mut found = Vec::new();
    let mut path: Vec<(u8, String)> = Vec::new();
    // Without the names of its columns a row says nothing.
    let delimited = matches!(document.media_type.as_str(), "text/csv" | "text/tab-separated-values");
    if let Some(row) = units.first().filter(|_| delimited) {
        path.push((1, heading_text(slice(text, row.bytes))));
    }
    let mut open: Option<Open> = None;
    let mut before: Option<&Unit> = None;
    for (index, unit) in units.iter().enumerate() {
        if let Some(run) = &open
            && closes(run, before, units.get(index..).unwrap_or_default(), stream, max_tokens)
        {
            found.push(run.close(found.len(), stream, &document.pages));
            open = None;
        }
        if let BlockKind::Heading(level) = unit.kind {
            path.retain(|(above, _)| *above < level);
            path.push((level, heading_text(slice(text, unit.bytes))));
        }
        before = Some(unit);
        let heading = matches!(unit.kind, BlockKind::Heading(_));
        match &mut open {
            Some(run) => {
                run.bytes.end = unit.bytes.end;
                run.headings_only &= heading;
                if heading {
                    run.heading = joined(&path);
                }
            }
            None => open = Some(Open { bytes: unit.bytes, headings_only: heading, heading: joined(&path) }),
        }
    }
    if let Some(run) = open {
        found.push(run.close(found.len(), stream, &document.pages));
    }
    (units, found)
}

/// The passage being filled.
struct Open {
    bytes: ByteSpan,
    headings_only: bool,
    heading: String,
}

impl Open {
    fn close(&self, index: usize, stream: &TokenStream, pages: &[PageMark]) -> Passage {
        Passage {
            index: index as u64,
            bytes: self.bytes,
            tokens: stream.covering(self.bytes),
            page_start: page_at(pages, self.bytes.start),
            page_end: page_at(pages, self.bytes.end.saturating_sub(1)),
            heading: self.heading.clone(),
        }
    }
}

/// Whether the passage ends before the first of the units `ahead`; `before` is the unit before that.
fn closes(run: &Open, before: Option<&Unit>, ahead: &[Unit], stream: &TokenStream, max_tokens: u64) -> bool {
    let Some(unit) = ahead.first() else { return true };
    let with = |end: u64| stream.covering(ByteSpan::new(run.bytes.start, end)).len();
    if with(unit.bytes.end) > max_tokens {
        return true;
    }
    if run.headings_only {
        return false;
    }
    if matches!(unit.kind, BlockKind::Heading(_)) {
        return true;
    }
    let starts_block = before.is_some_and(|before| before.block != unit.block);
    if !starts_block {
        return false;
    }
    // Only as far as the window reaches: a block may hold millions of units.
    let mut end = unit.bytes.end;
    for next in ahead.iter().take_while(|next| next.block == unit.block) {
        end = next.bytes.end;
        if stream.covering(ByteSpan::new(unit.bytes.start, end)).len() > max_tokens {
            return false;
        }
    }
    with(end) > max_tokens
}

fn page_at(pages: &[PageMark], byte: u64) -> Option<u32> {
    let after = pages.partition_point(|page| page.bytes.start <= byte);
    pages.get(after.saturating_sub(1)).map(|page| page.index)
}

/// A heading without its markup, on one line, at most 120 characters.
fn heading_text(source: &str) -> String {
    let first = source.trim_start_matches('#').lines().next().unwrap_or("");
    let words = first.trim_end_matches('#').split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(120).collect()
}

fn joined(path: &[(u8, String)]) -> String {
    let texts: Vec<&str> =
        path.iter().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty()).collect();
    texts.join(" › ")
}
