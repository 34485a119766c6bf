//! Regions → lines → paragraphs → canonical text with boxes and blocks. Last stop of a page.
//!
//! Rules of the text: the lines of a paragraph are joined by one blank (none between Chinese or Japanese
//! characters); a hyphen at a line's end between lower-case letters is dropped with the line break, every other
//! hyphen stays; ligatures become their letters, as the PDF's own character map spells them; table cells are parted
//! by a tab and rows by a line feed; typewriter lines keep their breaks; blocks are parted by an empty line.

use super::bidi::logical;
use super::columns::{Region, median, regions};
use super::glyph::{Area, Glyph};
use super::words::{Segment, Word, around, segments};

/// What a block is, in the words of the extraction seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Heading(u8),
    Paragraph,
    TableRow,
    Code,
}

/// A word's place: bytes of the text, its box in points and the borders of its characters.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub start: usize,
    pub end: usize,
    pub area: Area,
    /// Character borders in x, points; empty for text that does not run left to right.
    pub edges: Vec<f32>,
}

/// One page as text; offsets are bytes of `text`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageText {
    pub text: String,
    pub runs: Vec<Run>,
    pub blocks: Vec<(Kind, usize, usize)>,
}

struct Line {
    cells: Vec<Segment>,
    frame: Area,
    base: f32,
    size: f32,
    mono: bool,
}

/// Characters of one page → text. Upright text first, then each turned direction on its own.
pub fn assemble(glyphs: Vec<Glyph>) -> PageText {
    let mut page = PageText::default();
    let body = median(glyphs.iter().map(|g| g.size));
    let mut by_turn: [Vec<Glyph>; 4] = Default::default();
    for glyph in glyphs {
        if let Some(turn) = by_turn.get_mut(usize::from(glyph.turn % 4)) {
            turn.push(glyph);
        }
    }
    // A page set sideways is read in its own direction first.
    by_turn.sort_by_key(|turn| std::cmp::Reverse(turn.len()));
    for turn in by_turn {
        for region in regions(segments(turn)) {
            write_region(&mut page, lines(region), body);
        }
    }
    page
}

fn lines(region: Region) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for segment in region {
        if let Some(line) = lines.last_mut() {
            let close = (segment.base - line.base).abs() < 0.5 * segment.size.max(line.size);
            let overlap = segment.frame[3].min(line.frame[3]) - segment.frame[1].max(line.frame[1]);
            let lower = (segment.frame[3] - segment.frame[1]).min(line.frame[3] - line.frame[1]);
            if close && overlap > 0.5 * lower {
                line.frame = around(line.frame, segment.frame);
                line.mono &= is_mono(&segment);
                if segment.size > line.size {
                    (line.size, line.base) = (segment.size, segment.base);
                }
                line.cells.push(segment);
                continue;
            }
        }
        let (frame, base, size, mono) = (segment.frame, segment.base, segment.size, is_mono(&segment));
        lines.push(Line { cells: vec![segment], frame, base, size, mono });
    }
    for line in &mut lines {
        line.cells.sort_by(|a, b| a.frame[0].total_cmp(&b.frame[0]));
    }
    lines
}

fn is_mono(segment: &Segment) -> bool {
    segment.words.iter().all(|w| w.glyphs.iter().all(|g| g.mono))
}

/// A gap of more than two font sizes between cells, or more than two cells.
fn is_row(line: &Line) -> bool {
    line.cells.len() > 2
        || line.cells.windows(2).any(|w| matches!(w, [a, b] if b.frame[0] - a.frame[2] > 2.0 * line.size))
}

fn write_region(page: &mut PageText, lines: Vec<Line>, body: f32) {
    let pitch = median(lines.windows(2).filter_map(|w| match w {
        [a, b] if b.base - a.base > 0.3 * a.size => Some(b.base - a.base),
        _ => None,
    }));
    let left = lines.iter().map(|l| l.frame[0]).fold(f32::INFINITY, f32::min);
    let right = lines.iter().map(|l| l.frame[2]).fold(f32::NEG_INFINITY, f32::max);
    let mut open: Option<(Kind, usize)> = None;
    let mut last: Option<Line> = None;
    for line in lines {
        let kind = kind_of(&line, body);
        let goes_on = match (&open, &last) {
            (Some((open_kind, _)), Some(before)) if *open_kind == kind => match kind {
                Kind::TableRow => false,
                Kind::Code => line.base - before.base <= 2.5 * line.size,
                _ => continues(before, &line, pitch, left, right),
            },
            _ => false,
        };
        if !goes_on {
            close(page, open.take());
            let row_after_row = kind == Kind::TableRow && page.blocks.last().is_some_and(|b| b.0 == kind);
            begin(page, row_after_row && last.is_some());
            open = Some((kind, page.text.len()));
        }
        let start = page.text.len();
        join(page, goes_on, kind, &line);
        let wrote = write_line(page, &line);
        if !wrote {
            page.text.truncate(start);
        }
        last = Some(line);
    }
    close(page, open);
}

fn kind_of(line: &Line, body: f32) -> Kind {
    if is_row(line) {
        Kind::TableRow
    } else if line.mono {
        Kind::Code
    } else if line.size >= 1.15 * body {
        Kind::Heading(if line.size >= 1.6 * body {
            1
        } else if line.size >= 1.35 * body {
            2
        } else {
            3
        })
    } else {
        Kind::Paragraph
    }
}

/// Whether `line` belongs to the paragraph of `before`.
fn continues(before: &Line, line: &Line, pitch: f32, left: f32, right: f32) -> bool {
    let step = line.base - before.base;
    let size = line.size.max(before.size);
    if step > 1.3 * pitch.clamp(0.8 * size, 2.5 * size) || (line.size - before.size).abs() > 0.15 * size {
        return false;
    }
    let indent = line.frame[0] - before.frame[0];
    let first_line_indent = indent > 0.8 * size && indent < 5.0 * size && before.frame[0] - left < 0.5 * size;
    let before_short = right - before.frame[2] > 0.25 * (right - left);
    let starts_item = first_char(line).is_some_and(|c| matches!(c, '•' | '◦' | '▪' | '–' | '∙' | '●' | '■'));
    !(first_line_indent || starts_item || (before_short && ends_sentence(before)))
}

fn first_char(line: &Line) -> Option<char> {
    line.cells.first()?.words.first()?.glyphs.first().map(|g| g.text)
}

fn ends_sentence(line: &Line) -> bool {
    let last = line.cells.last().and_then(|c| c.words.last()).and_then(|w| w.glyphs.last());
    last.is_some_and(|g| matches!(g.text, '.' | '!' | '?' | ':' | '。' | ';'))
}

fn begin(page: &mut PageText, row_after_row: bool) {
    if !page.text.is_empty() {
        page.text.push_str(if row_after_row { "\n" } else { "\n\n" });
    }
}

fn close(page: &mut PageText, open: Option<(Kind, usize)>) {
    if let Some((kind, start)) = open
        && start < page.text.len()
    {
        page.blocks.push((kind, start, page.text.len()));
    }
}

/// Writes what stands between two lines of one block.
fn join(page: &mut PageText, goes_on: bool, kind: Kind, line: &Line) {
    if !goes_on {
        return;
    }
    if kind == Kind::Code {
        page.text.push('\n');
        return;
    }
    let Some(next) = first_char(line) else { return };
    let mut ending = page.text.chars().rev();
    let (last, before) = (ending.next(), ending.next());
    match (last, before) {
        (Some('-' | '\u{AD}' | '\u{2010}'), Some(b)) if b.is_lowercase() && next.is_lowercase() => {
            page.text.pop();
            if let Some(run) = page.runs.last_mut() {
                run.end = page.text.len();
                let borders = page.text.get(run.start..run.end).map_or(0, |t| t.chars().count()) + 1;
                run.edges.truncate(borders);
            }
            page.runs.pop_if(|run| run.start >= run.end);
        }
        (Some(a), _) if is_cjk(a) && is_cjk(next) => {}
        _ => page.text.push(' '),
    }
}

fn is_cjk(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

fn write_line(page: &mut PageText, line: &Line) -> bool {
    let row = is_row(line);
    let before = page.text.len();
    let mut words: Vec<(Word, bool)> = Vec::new();
    for cell in &line.cells {
        let mut ordered = logical(cell.words.clone());
        if let Some(last) = ordered.last_mut() {
            last.space_after = true;
        }
        let n_words = ordered.len();
        words.extend(ordered.into_iter().enumerate().map(|(at, word)| (word, row && at + 1 == n_words)));
    }
    let n_words = words.len();
    for (at, (word, cell_end)) in words.into_iter().enumerate() {
        write_word(page, &word);
        if at + 1 < n_words {
            if cell_end {
                page.text.push('\t');
            } else if word.space_after {
                page.text.push(' ');
            }
        }
    }
    page.text.len() > before
}

fn write_word(page: &mut PageText, word: &Word) {
    let start = page.text.len();
    let Some(area) = word.glyphs.iter().map(|g| g.area).reduce(around) else { return };
    page.text.extend(word.glyphs.iter().map(|g| g.text));
    let upright = word.glyphs.iter().all(|g| g.turn == 0)
        && word.glyphs.windows(2).all(|w| matches!(w, [a, b] if a.area[0] <= b.area[0]));
    let mut edges: Vec<f32> = Vec::new();
    if upright {
        edges.extend(word.glyphs.iter().map(|g| g.area[0]));
        edges.push(area[2]);
    }
    page.runs.push(Run { start, end: page.text.len(), area, edges });
}
