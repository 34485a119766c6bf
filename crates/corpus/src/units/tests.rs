//! Tables of cases by kind of block, and cover on random text.

use proptest::prelude::*;

use super::*;

fn block(kind: BlockKind, text: &str) -> Vec<Block> {
    vec![Block { kind, bytes: ByteSpan::new(0, text.len() as u64) }]
}

fn of(kind: BlockKind, text: &str) -> Vec<&str> {
    let found = units(text, &block(kind, text));
    found.iter().map(|unit| &text[unit.bytes.start as usize..unit.bytes.end as usize]).collect()
}

/// Each case: the text with `|` between its sentences.
#[test]
fn sentences_of_a_paragraph() {
    let cases = [
        "One sentence without an end",
        "First. |Second! |Third? |Fourth…",
        "It goes on\nover a line end. |Next one.",
        "Mr. Smith met Dr. Jones at 5 p.m. in St. Petersburg. |He left.",
        "See Fig. 3 and pp. 12–14, i.e. the end. |That is all.",
        "J. R. R. Tolkien wrote it. |We read it.",
        "Version 1.2.3 costs $3.50. |Buy it.",
        "He said \u{201c}Stop.\u{201d} |Then he left.",
        "(It was late.) |She slept.",
        "Visit example.org. |It is free.",
        "It failed... and then worked. |Good.",
        "吾輩は猫である。|名前はまだ無い。",
        "他说：“你好！”|然后走了。",
        "Привет, мир! |Как дела? |Хорошо.",
        "مرحبا. |كيف حالك؟ |بخير.",
        "यह एक वाक्य है। |यह दूसरा है।",
        "Er kam, z.B. gestern, bzw. heute. |Dann ging er.",
        "A list follows:\n|1. first thing\n|2. second thing",
        "A list follows:\n|- first thing\n|- second thing",
        "1. The number of an item stays with it. |The next sentence does not.",
        "The U.S. economy grew. |Then it shrank.",
        "The U.S. Senate met. |Then it left.",
        "Is it so?! |Yes.",
        "neon\n|Symbol: Ne\n|Atomic number: 10\n|Colourless gas of group 18\nof\nthe table. |It glows.",
        "1.1. Continuing after the end",
        "See https://example.org/?a=b&c=!d and README.中文.md for more. |End.",
        "A long line of prose that runs on and on until it is wrapped at the\nParis: a city. |End.",
    ];
    let mut failures = Vec::new();
    for case in cases {
        let text = case.replace('|', "");
        let expected: Vec<&str> = case.split('|').map(str::trim).collect();
        let got = of(BlockKind::Paragraph, &text);
        if got != expected {
            failures.push(format!("expected {expected:?}\n     got {got:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn rows_headings_and_items_are_whole() {
    assert_eq!(of(BlockKind::TableRow, "a. B. c,\"two\nlines\"\n"), ["a. B. c,\"two\nlines\""]);
    assert_eq!(of(BlockKind::Heading(1), "## 1. One. Two"), ["## 1. One. Two"]);
    assert_eq!(of(BlockKind::ListItem, "- One. Two."), ["- One. Two."]);
    let long = format!("- {} End.", "A sentence of some words. ".repeat(20));
    assert_eq!(of(BlockKind::ListItem, &long).len(), 21);
}

#[test]
fn code_is_quoted_by_line() {
    let code = "fn main() {\r\n\r\n    a(); b();\n}\n";
    assert_eq!(of(BlockKind::Code, code), ["fn main() {", "a(); b();", "}"]);
    assert_eq!(of(BlockKind::Code, " \n\n"), Vec::<&str>::new());
}

/// A token per byte.
fn bytewise(text: &str) -> TokenStream {
    let spans = (0..text.len() as u64).map(|at| ByteSpan::new(at, at + 1));
    TokenStream { ids: vec![0; text.len()], spans: spans.collect() }
}

#[test]
fn an_over_long_unit_is_cut_and_marked() {
    let text = "日本語".repeat(30);
    let cut = fit(&text, units(&text, &block(BlockKind::Paragraph, &text)), &bytewise(&text), 64);
    assert!(cut.len() > 4 && cut.iter().all(|unit| unit.cut && unit.bytes.len() <= 64));
    assert_eq!(cut.iter().map(|unit| unit.bytes.len()).sum::<u64>(), text.len() as u64);
}

#[test]
fn one_token_over_many_characters_still_ends() {
    // The whole text is one token, as where the vocabulary lacks its bytes.
    let text = "\u{1}".repeat(10) + &"word ".repeat(100);
    let end = text.len() as u64;
    let stream = TokenStream { ids: vec![0], spans: vec![ByteSpan::new(0, end)] };
    let cut = fit(&text, units(&text, &block(BlockKind::Code, &text)), &stream, 8);
    assert_eq!(cut.len(), 1);
}

proptest! {
    #[test]
    fn units_cover_any_text_in_order(text in "[a-c.!?\"'() 0-9\n\r\t日。é\u{301}\u{2028}-]{0,300}", max in 8u64..40) {
        let kinds = [BlockKind::Paragraph, BlockKind::ListItem, BlockKind::Code, BlockKind::TableRow];
        for kind in kinds {
            let stream = bytewise(&text);
            let found = fit(&text, units(&text, &block(kind, &text)), &stream, max);
            let mut at = 0;
            for unit in &found {
                prop_assert!(text[at..unit.bytes.start as usize].trim().is_empty());
                prop_assert!(unit.bytes.start < unit.bytes.end);
                prop_assert!(stream.covering(unit.bytes).len() <= max);
                at = unit.bytes.end as usize;
            }
            prop_assert!(text[at..].trim().is_empty());
        }
    }
}
