//! The index as a whole: ranking, scope, stamps, removal, damage, hostile questions.

use base::{Id, IdKind};
use std::path::Path;

use crate::*;

fn corpus() -> Id {
    Id::new(IdKind::Corpus, 1, 1)
}

fn passage(version: u64, idx: u64, body: &str) -> NewPassage<'_> {
    NewPassage { key: Key { version, idx }, body, heading: "", title: "" }
}

const BODIES: [(u64, u64, &str); 6] = [
    (1, 0, "The revenue of the company grew by 12 percent in 2023."),
    (1, 1, "The weather in the north was cold, and the harvest late."),
    (2, 0, "Die Gemeinde Zürich beschloss die neue Straßenordnung."),
    (2, 1, "東京都の人口は約1400万人である。"),
    (3, 0, "The company was founded in the nineteenth century."),
    (3, 1, "Население Москвы превышает двенадцать миллионов."),
];

fn build(path: &Path) -> Index {
    let index = Index::create(path).unwrap();
    let mut writer = index.writer().unwrap();
    writer.add(BODIES.map(|(v, i, body)| passage(v, i, body))).unwrap();
    writer.commit(&Stamp::new(&corpus(), 1)).unwrap();
    index
}

fn keys(hits: &[Hit]) -> Vec<(u64, u64)> {
    hits.iter().map(|h| (h.key.version, h.key.idx)).collect()
}

#[test]
fn questions_in_several_scripts_find_their_passage_first() {
    let dir = tempfile::tempdir().unwrap();
    let index = build(dir.path());
    for (question, expected) in [
        ("How much did revenues grow in 2023?", (1, 0)),
        ("zurich strassenordnung gemeinde", (2, 0)),
        ("東京の人口は?", (2, 1)),
        ("население москвы", (3, 1)),
        ("When was the company founded?", (3, 0)),
    ] {
        let hits = index.search(question, 3, None).unwrap();
        assert_eq!(keys(&hits).first(), Some(&expected), "{question}: {hits:?}");
    }
    let hits = index.search("the revenue", 1, None).unwrap();
    assert_eq!(hits[0].matched, ["revenu", "the"]);
}

#[test]
fn rare_terms_weigh_more_than_common_ones() {
    let dir = tempfile::tempdir().unwrap();
    let index = build(dir.path());
    assert!(index.idf("revenu").unwrap() > index.idf("the").unwrap());
    assert!(index.idf("absent").unwrap() > index.idf("revenu").unwrap());
    assert_eq!((index.doc_freq("the").unwrap(), index.len()), (3, 6));
}

#[test]
fn scope_limits_hits_without_changing_scores() {
    let dir = tempfile::tempdir().unwrap();
    let index = build(dir.path());
    let all = index.search("the company", 9, None).unwrap();
    let scoped = index.search("the company", 9, Some(&[3])).unwrap();
    assert_eq!(keys(&scoped), [(3, 0)]);
    assert_eq!(all.iter().find(|h| h.key.version == 3).unwrap().score, scoped[0].score);
    assert_eq!(index.search("the company", 9, Some(&[])).unwrap(), []);
}

#[test]
fn removal_is_visible_counts_no_more_and_leaves_no_term_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let index = build(dir.path());
    let mut writer = index.writer().unwrap();
    writer.remove(2);
    writer.commit(&Stamp::new(&corpus(), 2)).unwrap();
    assert_eq!(index.search("zurich", 3, None).unwrap(), []);
    assert_eq!((index.doc_freq("zurich").unwrap(), index.len()), (0, 4));
    assert_eq!(segments_on_disk(dir.path()), segments(&index));
}

/// Ids of the segments that have files. Terms are no plain bytes in them: only a file that is gone is sure to hold none.
fn segments_on_disk(path: &Path) -> std::collections::BTreeSet<String> {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let stems = names.filter_map(|path| Some(path.file_stem()?.to_str()?.get(..32)?.to_owned()));
    stems.collect()
}

/// Segment ids of the last commit.
fn segments(index: &Index) -> std::collections::BTreeSet<String> {
    index.inner.searchable_segment_ids().unwrap().iter().map(|id| id.uuid_string()).collect()
}

#[test]
fn a_removal_writes_again_the_segment_of_the_document_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path()).unwrap();
    let mut writer = index.writer().unwrap();
    let n = u64::from(segments::MAX_PASSAGES) * 5 / 2;
    writer.add((0..n).map(|version| passage(version, 0, "the same words of every document"))).unwrap();
    writer.commit(&Stamp::new(&corpus(), 1)).unwrap();
    let before = segments(&index);
    assert_eq!((before.len(), index.len()), (3, n));
    let mut writer = index.writer().unwrap();
    writer.remove(7);
    writer.commit(&Stamp::new(&corpus(), 2)).unwrap();
    let after = segments(&index);
    assert_eq!((after.len(), after.intersection(&before).count(), index.len()), (3, 2, n - 1));
    assert_eq!(segments_on_disk(dir.path()), after);
}

#[test]
fn many_small_commits_leave_few_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::create(dir.path()).unwrap();
    // Of one passage each, and of so many that seven of them fill a segment.
    for version in 1..=60 {
        let n_passages = if version <= 30 { 1 } else { 290 };
        let mut writer = index.writer().unwrap();
        writer.add((0..n_passages).map(|idx| passage(version, idx, "ferry"))).unwrap();
        writer.commit(&Stamp::new(&corpus(), version)).unwrap();
        index = Index::open(dir.path(), &Stamp::new(&corpus(), version)).unwrap();
        let most = 2 * index.len() / u64::from(segments::MAX_PASSAGES) + 8;
        assert!(segments(&index).len() as u64 <= most, "{} passages: {:?}", index.len(), segments(&index));
    }
    assert_eq!(index.len(), 30 + 30 * 290);
}

#[test]
fn equal_scores_go_by_key_however_the_passages_lie() {
    let dir = tempfile::tempdir().unwrap();
    let lay = |name: &str, groups: &[&[u64]]| {
        let index = Index::create(&dir.path().join(name)).unwrap();
        for group in groups {
            let mut writer = index.writer().unwrap();
            writer.add(group.iter().map(|version| passage(*version, 0, "one ferry"))).unwrap();
            writer.commit(&Stamp::new(&corpus(), 1)).unwrap();
        }
        index
    };
    let layouts = [lay("a", &[&[1, 2, 3, 4, 5, 6]]), lay("b", &[&[6, 5], &[1], &[4, 3, 2]])];
    for k in 1..=6 {
        for index in &layouts {
            let expected: Vec<_> = (1..=k as u64).map(|version| (version, 0)).collect();
            assert_eq!(keys(&index.search("ferry", k, None).unwrap()), expected);
        }
    }
}

#[test]
fn what_a_writer_left_unfinished_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let index = build(dir.path());
    let mut writer = index.writer().unwrap();
    let many = u64::from(segments::MAX_PASSAGES);
    writer.add((10..10 + many).map(|version| passage(version, 0, "half of it"))).unwrap();
    drop(writer);
    let stamp = Stamp::new(&corpus(), 1);
    assert!(matches!(Index::open(dir.path(), &stamp), Err(Error::Stale { found: None, .. })));
    assert_eq!(Stamp::of(dir.path()), None);
}

#[test]
fn other_stamps_and_missing_folders_are_stale() {
    let dir = tempfile::tempdir().unwrap();
    drop(build(dir.path()));
    assert_eq!(Index::open(dir.path(), &Stamp::new(&corpus(), 1)).unwrap().len(), 6);
    assert_eq!(Stamp::of(dir.path()), Some(Stamp::new(&corpus(), 1)));
    assert_eq!(Stamp::of(&dir.path().join("none")), None);
    let other = Stamp::new(&Id::new(IdKind::Corpus, 2, 2), 1);
    for stamp in [Stamp::new(&corpus(), 2), other] {
        assert!(matches!(Index::open(dir.path(), &stamp), Err(Error::Stale { found: Some(_), .. })));
    }
    let missing = Index::open(&dir.path().join("none"), &Stamp::new(&corpus(), 1));
    assert!(matches!(missing, Err(Error::Stale { found: None, .. })));
}

#[test]
fn every_damaged_file_is_noticed_and_create_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    drop(build(dir.path()));
    let stamp = Stamp::new(&corpus(), 1);
    let mut tried = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let good = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if good.is_empty() || name.starts_with('.') {
            continue;
        }
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 0x20;
        for bad in [&good[..good.len() / 2], &[], &flipped] {
            std::fs::write(&path, bad).unwrap();
            let got = Index::open(dir.path(), &stamp);
            let noticed = matches!(got, Err(Error::Damaged { .. } | Error::Stale { .. }));
            assert!(noticed || name == "meta.json", "{name} cut to {} bytes", bad.len());
            tried += 1;
        }
        std::fs::write(&path, good).unwrap();
    }
    assert!(tried >= 9, "{tried}");
    assert_eq!(build(dir.path()).len(), 6);
}

#[test]
fn hostile_questions_are_only_text() {
    let dir = tempfile::tempdir().unwrap();
    let index = build(dir.path());
    let many: String = (0..10_000).map(|i| format!("word{i} ")).collect();
    let long = "x".repeat(1 << 20);
    for question in ["", " ", "\u{0}\u{1b}[2J", "*", "body:*", "\"", "((((", "-", "[a TO z]", &long] {
        assert_eq!(index.search(question, 5, None).unwrap(), [], "{question:.20}");
    }
    // Operators are words like any other: "and" stands in one passage.
    assert_eq!(keys(&index.search("+ AND OR NOT", 5, None).unwrap()), [(1, 1)]);
    let hits = index.search(&format!("{many} revenue) OR title:* \u{0}"), 5, None).unwrap();
    assert_eq!(keys(&hits), [(1, 0)]);
    assert_eq!(index.search("revenue", 0, None).unwrap(), []);
    assert_eq!(index.search("revenue", usize::MAX, None).unwrap().len(), 1);
}
