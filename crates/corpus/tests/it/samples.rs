//! The sample corpus through the whole of this crate: text, tokens, units, passages.

use corpus::tokens::Tokenizer;
use corpus::{BlockKind, Extracted, Limits, Passage, Unit};

use crate::program::{sample, worker};

fn read(name: &str) -> Extracted {
    corpus::extract::extract(&sample(name), &Limits::default(), &worker(None)).expect(name)
}

/// Every byte is a token of this one: passages are then as tight as they can be.
fn bytes_only() -> Tokenizer {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut shifted = (0x100..).filter_map(char::from_u32);
    let vocab: serde_json::Map<_, _> = (0..=255u8)
        .map(|byte| {
            let c = if printable(byte) { Some(char::from(byte)) } else { shifted.next() };
            (c.expect("a character").to_string(), byte.into())
        })
        .collect();
    let root = serde_json::json!({
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "vocab": vocab, "merges": [] },
    });
    Tokenizer::from_json(root.to_string().as_bytes()).expect("a tokenizer")
}

/// Units and passages keep every promise of their types; gives them back.
fn cut(document: &Extracted, max_tokens: u64) -> (Vec<Unit>, Vec<Passage>) {
    let stream = bytes_only().encode_document(&document.text).expect("encodes");
    assert_eq!(stream.byte_len(), document.text.len() as u64);
    let (units, passages) = corpus::passages::passages(document, &stream, max_tokens);
    let slice = |from: u64, to: u64| &document.text[from as usize..to as usize];
    // Markup without a letter or digit (a rule) is nothing to quote in Markdown; elsewhere everything is.
    let outside: fn(char) -> bool = match document.media_type.as_str() {
        "text/markdown" => char::is_alphanumeric,
        _ => |c: char| !c.is_whitespace(),
    };
    let mut at = 0;
    for unit in &units {
        assert!(
            !slice(at, unit.bytes.start).contains(outside),
            "text outside units at {at}: {:?}",
            slice(at, unit.bytes.start)
        );
        let text = slice(unit.bytes.start, unit.bytes.end);
        assert!(!text.is_empty() && text.trim() == text, "{text:?}");
        at = unit.bytes.end;
    }
    assert!(!slice(at, document.text.len() as u64).contains(outside));
    let mut unit = 0;
    for (index, passage) in passages.iter().enumerate() {
        assert_eq!(passage.index, index as u64);
        assert!(passage.tokens.len() <= max_tokens, "{} tokens", passage.tokens.len());
        assert_eq!(passage.tokens, stream.covering(passage.bytes));
        assert_eq!(units[unit].bytes.start, passage.bytes.start);
        while units.get(unit).is_some_and(|unit| unit.bytes.end <= passage.bytes.end) {
            unit += 1;
        }
        assert_eq!(units[unit - 1].bytes.end, passage.bytes.end, "a unit in two passages");
    }
    assert_eq!(unit, units.len());
    (units, passages)
}

#[test]
fn every_text_of_the_sample_corpus_is_covered() {
    for name in [
        "elements.txt",
        "puzzles.txt",
        "vim-tutor-ru.txt",
        "just-manual.md",
        "us-states-2009.csv",
        "sqlite-corruption.html",
        "sqlite-testing.html",
        "debian-constitution.docx",
    ] {
        let document = read(name);
        for max_tokens in [16, 256, 1000] {
            cut(&document, max_tokens);
        }
    }
}

#[test]
fn source_formats_keep_the_bytes_of_the_file() {
    for name in ["elements.txt", "vim-tutor-ru.txt", "just-manual.md", "us-states-2009.csv"] {
        let document = read(name);
        assert_eq!(document.text.as_bytes(), std::fs::read(sample(name)).expect(name), "{name}");
    }
}

#[test]
fn a_row_of_the_table_is_one_unit() {
    let document = read("us-states-2009.csv");
    let (units, passages) = cut(&document, 256);
    let columns = document.text.lines().next().unwrap_or_default();
    assert!(passages.len() > 1 && passages.iter().all(|passage| passage.heading == columns));
    assert_eq!(units.len(), document.text.lines().filter(|line| !line.trim().is_empty()).count());
    assert!(units.iter().all(|unit| unit.kind == BlockKind::TableRow && !unit.cut));
}

#[test]
fn headings_name_their_passages() {
    let (_, passages) = cut(&read("just-manual.md"), 1000);
    assert!(passages.iter().any(|passage| passage.heading.contains(" › ")));
    assert!(passages.iter().filter(|passage| !passage.heading.is_empty()).count() * 10 > passages.len() * 9);
    let document = read("debian-constitution.docx");
    assert!(document.blocks.iter().any(|block| matches!(block.kind, BlockKind::Heading(_))));
}
