//! What is compared, page by page, with poppler's `pdftotext`.
//!
//! Text is compared after NFKC, without white space and line-end hyphens' breaks: `error` is the edit distance over
//! the reference's length, at most 1 per page. `order` is the longest increasing run of the words that stand once
//! on a page in both texts, over their number: it does not care what is missing.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use rapidfuzz::distance::levenshtein;
use unicode_normalization::UnicodeNormalization;

#[derive(Default, Clone)]
pub struct Score {
    distance: usize,
    characters: usize,
    in_order: usize,
    shared: usize,
    found: usize,
    words: usize,
    errors: Vec<f64>,
}

impl Score {
    pub fn error(&self) -> f64 {
        self.distance as f64 / self.characters.max(1) as f64
    }

    pub fn order(&self) -> f64 {
        if self.shared == 0 { 1.0 } else { self.in_order as f64 / self.shared as f64 }
    }

    pub fn recall(&self) -> f64 {
        self.found as f64 / self.words.max(1) as f64
    }

    pub fn median_error(&self) -> f64 {
        let mut errors = self.errors.clone();
        errors.sort_by(f64::total_cmp);
        errors.get(errors.len() / 2).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: &Self) {
        self.distance += other.distance;
        self.characters += other.characters;
        self.in_order += other.in_order;
        self.shared += other.shared;
        self.found += other.found;
        self.words += other.words;
        self.errors.push(other.error());
    }
}

fn pdftotext(file: &Path, option: &[&str]) -> String {
    let run =
        Command::new("pdftotext").args(option).arg(file).arg("-").output().expect("pdftotext is installed");
    String::from_utf8_lossy(&run.stdout).into_owned()
}

pub fn reference_text(file: &Path) -> String {
    pdftotext(file, &["-enc", "UTF-8"])
}

/// Word boxes per page, points from the top left.
pub fn reference_boxes(file: &Path) -> Vec<Vec<[f32; 4]>> {
    let mut pages = Vec::new();
    for line in pdftotext(file, &["-bbox"]).lines() {
        let line = line.trim();
        if line.starts_with("<page") {
            pages.push(Vec::new());
        } else if line.starts_with("<word") {
            let number = |name: &str| {
                let rest = line.split_once(name)?.1.split_once('"')?.1;
                rest.split_once('"')?.0.parse::<f32>().ok()
            };
            let area = [number("xMin"), number("yMin"), number("xMax"), number("yMax")];
            if let ([Some(x0), Some(y0), Some(x1), Some(y1)], Some(page)) = (area, pages.last_mut()) {
                let page: &mut Vec<[f32; 4]> = page;
                page.push([x0, y0, x1, y1]);
            }
        }
    }
    pages
}

fn characters(page: &str) -> Vec<char> {
    page.nfkc().filter(|c| !c.is_whitespace() && *c != '\u{ad}').collect()
}

pub fn score(reference: &str, text: &str) -> Score {
    let mut score = Score::default();
    let mut pages = text.split('\u{c}');
    for wanted in reference.split_terminator('\u{c}') {
        let got = pages.next().unwrap_or_default();
        let (a, b) = (characters(wanted), characters(got));
        score.characters += a.len();
        score.distance += levenshtein::distance(a.iter().copied(), b.iter().copied()).min(a.len());
        words(wanted, got, &mut score);
    }
    score
}

fn words(wanted: &str, got: &str, score: &mut Score) {
    let (wanted, got): (String, String) = (wanted.nfkc().collect(), got.nfkc().collect());
    let mut counts: HashMap<&str, (usize, usize, usize)> = HashMap::new();
    for word in wanted.split_whitespace() {
        counts.entry(word).or_default().0 += 1;
        score.words += 1;
    }
    for (at, word) in got.split_whitespace().enumerate() {
        let entry = counts.entry(word).or_default();
        entry.1 += 1;
        entry.2 = at;
    }
    score.found += counts.values().map(|c| c.0.min(c.1)).sum::<usize>();
    let once = |word: &&str| counts.get(*word).filter(|c| c.0 == 1 && c.1 == 1).map(|c| c.2);
    let places: Vec<usize> = wanted.split_whitespace().filter_map(|w| once(&w)).collect();
    score.shared += places.len();
    score.in_order += longest_increasing(&places);
}

fn longest_increasing(values: &[usize]) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    for &value in values {
        let at = ends.partition_point(|&end| end < value);
        match ends.get_mut(at) {
            Some(end) => *end = value,
            None => ends.push(value),
        }
    }
    ends.len()
}

#[derive(Default, Clone)]
pub struct Boxes {
    matched: usize,
    total: usize,
}

impl Boxes {
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.total += other.total;
    }
}

impl fmt::Display for Boxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.matched == 0 {
            return f.write_str("–");
        }
        write!(f, "{:.2}", self.matched as f64 * 100.0 / self.total.max(1) as f64)
    }
}

/// Share of the reference's words that one of our boxes covers with intersection over union ≥ 0.5.
pub fn boxes(reference: &[Vec<[f32; 4]>], file: &Path) -> Boxes {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut share = Boxes::default();
    let mut pages = text.split("-\n");
    for wanted in reference {
        let page = pages.next().unwrap_or_default();
        let ours: Vec<[f32; 4]> = page
            .lines()
            .filter_map(|line| {
                let numbers: Vec<f32> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
                <[f32; 4]>::try_from(numbers).ok()
            })
            .collect();
        share.total += wanted.len();
        share.matched += wanted.iter().filter(|w| ours.iter().any(|o| overlap(w, o) >= 0.5)).count();
    }
    share
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |r: &[f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let both = area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    both / (area(a) + area(b) - both).max(1e-9)
}
