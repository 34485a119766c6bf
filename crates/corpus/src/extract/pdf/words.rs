//! Glyphs → words → line segments. Thresholds are fractions of the font size; they follow the word rules of
//! poppler's `pdftotext` documentation and were checked against its boxes (bench/pdf).

use super::glyph::{Area, Glyph};

/// A gap wider than this ends a word.
const WORD_GAP: f32 = 0.12;
/// A gap wider than this may be a narrow gutter, which is hardly wider than a stretched space.
const NARROW_GAP: f32 = 0.55;
/// A gap wider than this ends a segment: a table cell may end there.
const SEGMENT_GAP: f32 = 1.0;
/// Baselines closer than this are one row.
const SAME_BASE: f32 = 0.12;

/// Neighbouring characters without a gap, in visual order (left to right in the reading frame).
#[derive(Debug, Clone)]
pub struct Word {
    pub glyphs: Vec<Glyph>,
    /// In the reading frame.
    pub frame: Area,
    pub base: f32,
    pub size: f32,
    /// White space lies before the next word of the segment.
    pub space_after: bool,
}

/// Words on one line with no wide gap between them.
#[derive(Debug, Clone)]
pub struct Segment {
    pub words: Vec<Word>,
    pub frame: Area,
    pub base: f32,
    pub size: f32,
}

impl Segment {
    pub fn width(&self) -> f32 {
        self.frame[2] - self.frame[0]
    }
}

pub fn around(a: Area, b: Area) -> Area {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// Glyphs of one writing direction → segments, top to bottom, then left to right.
pub fn segments(glyphs: Vec<Glyph>) -> Vec<Segment> {
    let mut words = Vec::new();
    for row in rows(glyphs) {
        split_words(row, &mut words);
    }
    join_words(words, SEGMENT_GAP)
}

/// The same words, parted at every gap that may be a narrow gutter.
pub fn parted(region: &[Segment]) -> Vec<Segment> {
    join_words(region.iter().flat_map(|segment| segment.words.clone()).collect(), NARROW_GAP)
}

/// The same words, joined over the gaps that turned out to be no gutter.
pub fn rejoined(region: Vec<Segment>) -> Vec<Segment> {
    join_words(region.into_iter().flat_map(|segment| segment.words).collect(), SEGMENT_GAP)
}

/// Rows of equal baseline, each sorted left to right.
fn rows(mut glyphs: Vec<Glyph>) -> Vec<Vec<Glyph>> {
    glyphs.sort_by(|a, b| a.base.total_cmp(&b.base));
    let mut rows: Vec<Vec<Glyph>> = Vec::new();
    let mut row_base = f32::NEG_INFINITY;
    for glyph in glyphs {
        if glyph.base - row_base > SAME_BASE * glyph.size || rows.is_empty() {
            row_base = glyph.base;
            rows.push(Vec::new());
        }
        if let Some(row) = rows.last_mut() {
            row.push(glyph);
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.frame()[0].total_cmp(&b.frame()[0]));
    }
    rows
}

fn split_words(row: Vec<Glyph>, words: &mut Vec<Word>) {
    let mut open: Option<Word> = None;
    for glyph in row {
        let frame = glyph.frame();
        if glyph.text.is_whitespace() {
            // A blank that lies over the word before it (spacing tricks) still separates.
            if let Some(mut word) = open.take() {
                word.space_after = true;
                words.push(word);
            }
            continue;
        }
        if let Some(word) = &mut open {
            let gap = frame[0] - word.frame[2];
            let size = word.size.max(glyph.size);
            let same = (glyph.size - word.size).abs() <= 0.05 * size;
            if gap <= WORD_GAP * size && same {
                // The same character drawn twice in one place is bold type, not a double letter.
                let twice = word.glyphs.last().is_some_and(|last| {
                    last.text == glyph.text && (last.frame()[0] - frame[0]).abs() < 0.1 * size
                });
                if !twice {
                    word.frame = around(word.frame, frame);
                    word.glyphs.push(glyph);
                }
                continue;
            }
            word.space_after = gap > WORD_GAP * size;
        }
        let next =
            Word { frame, base: glyph.base, size: glyph.size, space_after: false, glyphs: vec![glyph] };
        words.extend(open.replace(next));
    }
    words.extend(open.map(|word| Word { space_after: true, ..word }));
}

/// Words → segments. A word joins the segment whose right end it continues, if at least half of the lower of the
/// two lies on the same height: superscripts and changed fonts stay on their line.
fn join_words(mut words: Vec<Word>, widest: f32) -> Vec<Segment> {
    words.sort_by(|a, b| a.frame[0].total_cmp(&b.frame[0]));
    let mut done: Vec<Segment> = Vec::new();
    let mut open: Vec<Segment> = Vec::new();
    for word in words {
        let Some(word) = absorb(&mut open, word) else { continue };
        // Segments that ended far to the left can take no further word.
        let mut still_open = Vec::with_capacity(open.len());
        for segment in open.drain(..) {
            let reach = segment.frame[2] + widest * segment.size.max(word.size);
            if reach < word.frame[0] { done.push(segment) } else { still_open.push(segment) }
        }
        open = still_open;
        match best_segment(&open, &word).and_then(|at| open.get_mut(at)) {
            Some(segment) => {
                let gap = word.frame[0] - segment.frame[2];
                if let Some(last) = segment.words.last_mut() {
                    last.space_after =
                        gap > WORD_GAP * last.size.max(word.size) || (last.space_after && gap > 0.0);
                }
                segment.frame = around(segment.frame, word.frame);
                if word.size > segment.size {
                    (segment.size, segment.base) = (word.size, word.base);
                }
                segment.words.push(word);
            }
            None => {
                open.push(Segment { frame: word.frame, base: word.base, size: word.size, words: vec![word] })
            }
        }
    }
    done.append(&mut open);
    done.sort_by(|a, b| a.base.total_cmp(&b.base).then(a.frame[0].total_cmp(&b.frame[0])));
    done
}

/// Sets a letter or two that stand inside another word (the raised A of a TeX logo) between its characters; gives
/// back any other word.
fn absorb(open: &mut [Segment], word: Word) -> Option<Word> {
    if word.glyphs.len() > 2 {
        return Some(word);
    }
    let x = (word.frame[0] + word.frame[2]) / 2.0;
    for segment in open {
        let overlap = segment.frame[3].min(word.frame[3]) - segment.frame[1].max(word.frame[1]);
        if overlap < 0.7 * (word.frame[3] - word.frame[1]) {
            continue;
        }
        let host = segment
            .words
            .iter_mut()
            .find(|w| w.frame[0] < word.frame[0] && x < w.frame[2] && w.glyphs.len() > 1);
        if let Some(host) = host {
            host.glyphs.extend(word.glyphs);
            host.glyphs.sort_by(|a, b| a.frame()[0].total_cmp(&b.frame()[0]));
            host.frame = around(host.frame, word.frame);
            return None;
        }
    }
    Some(word)
}

fn best_segment(open: &[Segment], word: &Word) -> Option<usize> {
    let mut best = None;
    for (at, segment) in open.iter().enumerate() {
        let Some(last) = segment.words.last() else { continue };
        let gap = word.frame[0] - segment.frame[2];
        if gap < -0.5 * word.size.max(segment.size) {
            continue;
        }
        let off = (last.base - word.base).abs().min((segment.base - word.base).abs());
        let overlap = segment.frame[3].min(word.frame[3]) - segment.frame[1].max(word.frame[1]);
        let lower = (segment.frame[3] - segment.frame[1]).min(word.frame[3] - word.frame[1]);
        let near = off <= 0.5 * segment.size.max(word.size) && overlap >= 0.5 * lower;
        if near && best.is_none_or(|(least, _)| off < least) {
            best = Some((off, at));
        }
    }
    best.map(|(_, at)| at)
}
