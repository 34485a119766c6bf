//! Segments → reading order. A page is cut at gutters: the tallest run of segments that one vertical white strip
//! divides becomes columns, what lies above and below it is ordered on its own, and so on inside each column.
//! Narrow cells side by side are a table, which is read row by row, so they are no columns.

use super::words::{Segment, around, parted, rejoined};

/// Depth of columns inside columns; deeper nesting is read row by row.
const MAX_DEPTH: u32 = 8;
/// Least number of segments on each side of a gutter.
const MIN_SIDE: usize = 4;
/// White width of a gutter, in font sizes.
const MIN_GUTTER: f32 = 0.9;
/// White width of a gutter that only long, wide columns may have: LaTeX sets two columns ten points apart, and
/// protruding hyphens take some of that.
const MIN_NARROW_GUTTER: f32 = 0.5;
/// Rows of such columns, and the median width of their segments in font sizes: a few lines of code share blanks by
/// chance, the cells of a table are short.
const MIN_NARROW_ROWS: usize = 10;
const MIN_NARROW_LINE: f32 = 12.0;
/// Median width of the segments of a column, in font sizes: prose is wide, table cells are not.
const MIN_COLUMN: f32 = 9.0;
/// As `MIN_COLUMN` where the lines of both sides do not stand on common baselines (an index, a word list).
const MIN_LOOSE_COLUMN: f32 = 3.5;
/// A reference card sets tables side by side: at least this many rows, this wide (font sizes), on each side.
const MIN_CARD_ROWS: usize = 12;
const MIN_CARD_ROW: f32 = 12.0;
/// Candidate gutters looked at per region.
const MAX_CANDIDATES: usize = 400;

/// A stretch of the page that is read top to bottom before the next one.
pub type Region = Vec<Segment>;

/// Regions in reading order.
pub fn regions(segments: Vec<Segment>) -> Vec<Region> {
    let mut out = Vec::new();
    cut(segments, 0, &mut out);
    out
}

struct Gutter {
    x: f32,
    /// Run of segments, in order of their baselines.
    start: usize,
    end: usize,
}

fn cut(mut region: Vec<Segment>, depth: u32, out: &mut Vec<Region>) {
    sort(&mut region);
    let mut gutter = if depth < MAX_DEPTH { best_gutter(&region, divides) } else { None };
    let narrow = gutter.is_none() && depth < MAX_DEPTH;
    if narrow {
        let mut fine = parted(&region);
        sort(&mut fine);
        gutter = best_gutter(&fine, divides_narrowly);
        if gutter.is_some() {
            region = fine;
        }
    }
    let Some(Gutter { x, start, end }) = gutter else {
        if !region.is_empty() {
            out.push(region);
        }
        return;
    };
    let below = region.split_off(end);
    let run = region.split_off(start);
    let (left, right) = run.into_iter().partition(|s| centre(s) < x);
    for piece in [region, left, right, below] {
        cut(if narrow { rejoined(piece) } else { piece }, depth + 1, out);
    }
}

fn sort(region: &mut [Segment]) {
    region.sort_by(|a, b| a.base.total_cmp(&b.base).then(a.frame[0].total_cmp(&b.frame[0])));
}

fn centre(segment: &Segment) -> f32 {
    (segment.frame[0] + segment.frame[2]) / 2.0
}

fn best_gutter(region: &[Segment], divides: fn(&[Segment], f32) -> bool) -> Option<Gutter> {
    let mut best: Option<(usize, Gutter)> = None;
    for x in candidates(region) {
        let mut start = 0;
        for at in 0..=region.len() {
            let crossing = region.get(at).is_none_or(|s| s.frame[0] < x && x < s.frame[2]);
            if !crossing {
                continue;
            }
            let run = region.get(start..at).unwrap_or_default();
            let wins = best.as_ref().is_none_or(|(length, _)| run.len() > *length);
            if wins && divides(run, x) {
                best = Some((run.len(), Gutter { x, start, end: at }));
            }
            start = at + 1;
        }
    }
    best.map(|(_, gutter)| gutter)
}

/// Places just left of where segments begin, each once.
fn candidates(region: &[Segment]) -> Vec<f32> {
    let mut starts: Vec<f32> =
        region.iter().map(|s| s.frame[0] - 0.3 * s.size).filter(|x| x.is_finite()).collect();
    starts.sort_by(f32::total_cmp);
    starts.dedup_by(|a, b| (*a - *b).abs() < 1.0);
    starts.truncate(MAX_CANDIDATES);
    starts
}

/// The two sides of a run that a white strip around `x`, at least `gutter` font sizes wide, parts; and the font size.
fn sides(run: &[Segment], x: f32, gutter: f32) -> Option<(Vec<&Segment>, Vec<&Segment>, f32)> {
    let (left, right): (Vec<&Segment>, Vec<&Segment>) = run.iter().partition(|s| centre(s) < x);
    if left.len() < MIN_SIDE || right.len() < MIN_SIDE {
        return None;
    }
    let size = median(run.iter().map(|s| s.size));
    let left_end = left.iter().map(|s| s.frame[2]).fold(f32::NEG_INFINITY, f32::max);
    let right_start = right.iter().map(|s| s.frame[0]).fold(f32::INFINITY, f32::min);
    // Columns stand beside each other, not one below the other.
    let (l, r) = (extent(&left), extent(&right));
    let common = l.1.min(r.1) - l.0.max(r.0);
    let beside = common >= 0.5 * (l.1 - l.0).min(r.1 - r.0);
    (right_start - left_end >= gutter * size && beside).then_some((left, right, size))
}

/// Whether `x` parts the run into two long, wide columns, however narrow the gutter.
fn divides_narrowly(run: &[Segment], x: f32) -> bool {
    let Some((left, right, size)) = sides(run, x, MIN_NARROW_GUTTER) else { return false };
    [left, right].iter().all(|side| {
        rows(side).len() >= MIN_NARROW_ROWS
            && median(side.iter().map(|s| s.width())) >= MIN_NARROW_LINE * size
    })
}

/// Whether `x` parts the run into two columns of prose.
fn divides(run: &[Segment], x: f32) -> bool {
    let Some((left, right, size)) = sides(run, x, MIN_GUTTER) else { return false };
    let (left_rows, right_rows) = (rows(&left), rows(&right));
    let n_rows = left_rows.len().min(right_rows.len());
    let stands = |base: f32, rows: &[(f32, f32)]| rows.iter().any(|r| (r.0 - base).abs() < 0.1 * size);
    let (fewer, more) = if left_rows.len() <= right_rows.len() {
        (&left_rows, &right_rows)
    } else {
        (&right_rows, &left_rows)
    };
    let aligned = fewer.iter().filter(|row| stands(row.0, more)).count() as f32 / n_rows.max(1) as f32;
    let prose = median(left.iter().map(|s| s.width())).min(median(right.iter().map(|s| s.width())));
    let row = median(left_rows.iter().map(|r| r.1)).min(median(right_rows.iter().map(|r| r.1)));
    prose >= MIN_COLUMN * size
        || (aligned < 0.5 && row >= MIN_LOOSE_COLUMN * size)
        || (aligned < 0.85 && n_rows >= MIN_CARD_ROWS && row >= MIN_CARD_ROW * size)
}

/// Baseline and width of each row of one side.
fn rows(side: &[&Segment]) -> Vec<(f32, f32)> {
    let mut rows: Vec<(f32, f32, f32)> = Vec::new();
    for segment in side {
        match rows.last_mut().filter(|row| (row.0 - segment.base).abs() < 0.1 * segment.size) {
            Some(row) => (row.1, row.2) = (row.1.min(segment.frame[0]), row.2.max(segment.frame[2])),
            None => rows.push((segment.base, segment.frame[0], segment.frame[2])),
        }
    }
    rows.into_iter().map(|(base, start, end)| (base, end - start)).collect()
}

fn extent(side: &[&Segment]) -> (f32, f32) {
    let frame = side.iter().map(|s| s.frame).reduce(around).unwrap_or_default();
    (frame[1], frame[3])
}

/// Middle value; 0 for nothing.
pub fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
