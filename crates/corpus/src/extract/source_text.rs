//! Formats whose canonical text is the file's own text: only the blocks differ.

use base::ByteSpan;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::sniff::Format;
use super::{Block, BlockKind, ExtractError, Limits};

/// Blocks of a text in one of the text formats.
pub fn blocks(text: &str, format: Format, limits: &Limits) -> Result<Vec<Block>, ExtractError> {
    match format {
        Format::Markdown => Ok(markdown(text)),
        Format::Csv => rows(text, b',', limits),
        Format::Tsv => rows(text, b'\t', limits),
        Format::Json | Format::Code => Ok(vec![Block { kind: BlockKind::Code, bytes: whole(text) }]),
        _ => Ok(paragraphs(text)),
    }
}

/// Paragraphs: stretches between blank lines (or form feeds). A line that is underlined is a heading.
pub fn paragraphs(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut start, mut end, mut at) = (0usize, 0usize, 0usize);
    let mut close = |start: usize, end: usize| {
        if end > start {
            let kind = underlined(text.get(start..end).unwrap_or_default());
            blocks.push(Block { kind, bytes: ByteSpan::new(start as u64, end as u64) });
        }
    };
    for line in text.split_inclusive(['\n', '\u{c}']) {
        let next = at + line.len();
        if line.trim().is_empty() {
            close(start, end);
            start = next;
        }
        end = next;
        if line.ends_with('\u{c}') {
            close(start, end);
            start = next;
        }
        at = next;
    }
    close(start, end);
    blocks
}

/// Kind of a paragraph: `=` under its one line makes a heading of level 1, `-` or `~` of level 2.
fn underlined(paragraph: &str) -> BlockKind {
    let mut lines = paragraph.lines().filter(|line| !line.trim().is_empty());
    let (Some(words), Some(rule), None) = (lines.next(), lines.next(), lines.next()) else {
        return BlockKind::Paragraph;
    };
    let rule = rule.trim();
    let of = |mark: char| rule.len() >= 3 && rule.chars().all(|c| c == mark);
    let titled = words.contains(char::is_alphanumeric);
    match (titled && of('='), titled && (of('-') || of('~'))) {
        (true, _) => BlockKind::Heading(1),
        (_, true) => BlockKind::Heading(2),
        _ => BlockKind::Paragraph,
    }
}

/// Rows of a delimited file; a quoted field may hold line ends.
fn rows(text: &str, delimiter: u8, limits: &Limits) -> Result<Vec<Block>, ExtractError> {
    let mut blocks = Vec::new();
    let mut push = |start: usize, end: usize| {
        if end > start {
            blocks.push(Block { kind: BlockKind::TableRow, bytes: ByteSpan::new(start as u64, end as u64) });
        }
    };
    let (mut start, mut fields, mut quoted) = (0usize, 1u64, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => {
                push(start, at);
                start = at + 1;
                fields = 1;
            }
            _ if byte == delimiter && !quoted => {
                fields += 1;
                if fields > limits.table_cells {
                    return Err(ExtractError::limit("table_cells", limits.table_cells));
                }
            }
            _ => {}
        }
    }
    // A quote that is never closed would swallow the rest of the file: then lines are rows.
    if quoted {
        return Ok(lines_as_rows(text));
    }
    push(start, text.len());
    Ok(blocks)
}

fn lines_as_rows(text: &str) -> Vec<Block> {
    let mut at = 0u64;
    let mut blocks = Vec::new();
    for line in text.split_inclusive('\n') {
        let end = at + line.len() as u64;
        blocks.push(Block { kind: BlockKind::TableRow, bytes: ByteSpan::new(at, end) });
        at = end;
    }
    blocks
}

fn markdown(text: &str) -> Vec<Block> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut found: Vec<Block> = Vec::new();
    let mut depth_of_item = 0usize;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let kind = match event {
            Event::Start(Tag::Heading { level, .. }) => BlockKind::Heading(level as u8),
            Event::Start(Tag::Item) => {
                depth_of_item += 1;
                BlockKind::ListItem
            }
            Event::End(TagEnd::Item) => {
                depth_of_item = depth_of_item.saturating_sub(1);
                continue;
            }
            Event::Start(Tag::Paragraph) if depth_of_item > 0 => BlockKind::ListItem,
            Event::Start(Tag::Paragraph) => BlockKind::Paragraph,
            Event::Start(Tag::TableHead | Tag::TableRow) => BlockKind::TableRow,
            Event::Start(Tag::CodeBlock(_) | Tag::MetadataBlock(_) | Tag::HtmlBlock) => BlockKind::Code,
            _ => continue,
        };
        let mut bytes = ByteSpan::new(range.start as u64, range.end as u64);
        // Nested structure: the inner block takes over where it starts, and takes the marker before it along.
        if let Some(last) = found.last_mut()
            && last.bytes.end > bytes.start
        {
            if has_words(text, last.bytes.start, bytes.start)
                && !is_number_marker(text, last.bytes.start, bytes.start)
            {
                last.bytes.end = bytes.start;
            } else {
                bytes = ByteSpan::new(last.bytes.start, bytes.end.max(last.bytes.start));
                found.pop();
            }
        }
        found.push(Block { kind, bytes });
    }
    with_gaps(text, found)
}

/// Words outside every block (link definitions, the rest of an item after a block in it) become paragraphs. Markup
/// without a letter or digit (rules, the line under a table's head) stays outside.
fn with_gaps(text: &str, found: Vec<Block>) -> Vec<Block> {
    let mut blocks = Vec::with_capacity(found.len());
    let mut at = 0u64;
    let end =
        Block { kind: BlockKind::Paragraph, bytes: ByteSpan::new(text.len() as u64, text.len() as u64) };
    for block in found.into_iter().chain([end]) {
        if has_words(text, at, block.bytes.start) {
            let bytes = ByteSpan::new(at, block.bytes.start);
            blocks.push(Block { kind: BlockKind::Paragraph, bytes });
        }
        at = at.max(block.bytes.end);
        if !block.bytes.is_empty() {
            blocks.push(block);
        }
    }
    blocks
}

/// `12. ` before an item's text.
fn is_number_marker(text: &str, from: u64, to: u64) -> bool {
    text.get(from as usize..to as usize)
        .is_some_and(|gap| !gap.contains(|c: char| c == '\n' || c.is_alphabetic()))
}

fn has_words(text: &str, from: u64, to: u64) -> bool {
    text.get(from as usize..to as usize).is_some_and(|gap| gap.contains(char::is_alphanumeric))
}

fn whole(text: &str) -> ByteSpan {
    ByteSpan::new(0, text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, format: Format) -> Vec<(BlockKind, &str)> {
        let blocks = blocks(text, format, &Limits::default()).expect("blocks");
        blocks.iter().map(|b| (b.kind, text[b.bytes.start as usize..b.bytes.end as usize].trim())).collect()
    }

    #[test]
    fn markdown_blocks() {
        use BlockKind::{Code, Heading, ListItem, Paragraph, TableRow};
        let text = "# Head\n\nUnder\n===\n\nText\nmore.\n\n- a\n- b\n  - c\n\n1. loose\n\n2. items\n\n   tail\n\n\
                    | x | y |\n|---|---|\n| 1 | 2 |\n\n```rust\nlet a;\n```\n\n---\n\n> quoted\n\n[x]: http://y\n";
        assert_eq!(
            of(text, Format::Markdown),
            [
                (Heading(1), "# Head"),
                (Heading(1), "Under\n==="),
                (Paragraph, "Text\nmore."),
                (ListItem, "- a"),
                (ListItem, "- b"),
                (ListItem, "- c"),
                (ListItem, "1. loose"),
                (ListItem, "2. items"),
                (ListItem, "tail"),
                (TableRow, "| x | y |"),
                (TableRow, "| 1 | 2 |"),
                (Code, "```rust\nlet a;\n```"),
                (Paragraph, "quoted"),
                (Paragraph, "[x]: http://y"),
            ]
            .map(|(kind, text)| (kind, text))
        );
    }

    #[test]
    fn paragraphs_end_at_blank_lines_and_form_feeds() {
        let text = "\n\none\ntwo\n \t\r\nthree\u{c}four";
        let found: Vec<&str> = of(text, Format::Plain).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, ["one\ntwo", "three", "four"]);
    }

    #[test]
    fn an_underlined_line_is_a_heading() {
        let kinds = |text| of(text, Format::Plain).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        let (one, two, paragraph) = (BlockKind::Heading(1), BlockKind::Heading(2), BlockKind::Paragraph);
        assert_eq!(kinds("Head\n  ====\n\nSection\n---\n\ntext\n"), [one, two, paragraph]);
        assert_eq!(kinds("one\ntwo\n---\n\n---\n---\n\na\n--\n"), [paragraph; 3]);
    }
}
