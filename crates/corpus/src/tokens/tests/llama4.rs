//! Llama 4's ids by rank, by a converted `tokenizer.json` and by the definition; its special tokens and its spans.

use std::sync::LazyLock;

use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use super::vocabularies::{self, Vocabulary};
use super::*;
use crate::tokens::source::{LLAMA4, llama4};

/// Byte-level BPE by its definition: of all neighbours that make a token, join the first that make the lowest.
fn by_definition(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
    static PATTERN: LazyLock<Split> = LazyLock::new(|| {
        let pattern = SplitPattern::Regex(LLAMA4.into());
        Split::new(pattern, SplitDelimiterBehavior::Isolated, false).expect("a pattern")
    });
    let ranks = &vocabulary.ranks;
    let mut split = PreTokenizedString::from(text);
    PATTERN.pre_tokenize(&mut split).expect("splits");
    let mut ids = Vec::new();
    for (piece, ..) in split.get_splits(OffsetReferential::Original, OffsetType::Byte) {
        let piece = piece.as_bytes();
        let mut borders: Vec<usize> = (0..=piece.len()).collect();
        while !ranks.contains_key(piece) {
            let pairs = borders.windows(3).enumerate();
            let pairs = pairs.filter_map(|(at, w)| Some((*ranks.get(&piece[w[0]..w[2]])?, at)));
            let Some((_, at)) = pairs.min() else { break };
            borders.remove(at + 1);
        }
        match ranks.get(piece) {
            Some(whole) => ids.push(*whole),
            None => ids.extend(borders.windows(2).map(|w| ranks[&piece[w[0]..w[1]]])),
        }
    }
    ids
}

#[test]
fn vectors_of_tiktoken_are_met_from_either_file() {
    let Some(real) = vocabularies::real() else { return };
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../fixtures/llama4-token-vectors.json")).expect("json");
    let vectors = file["token_vectors"].as_array().expect("a list");
    assert_eq!(vectors.len(), 100);
    for vector in vectors {
        let text = vector["text"].as_str().expect("text");
        let ids: Vec<u32> = vector["ids"].as_array().expect("ids").iter().map(json_id).collect();
        for tokenizer in [&real.ranked, &real.converted] {
            let stream = tokenizer.encode_document(text).expect("encodes");
            assert_eq!(stream.ids, ids, "{text:?}");
            if !text.contains("<|") {
                assert_eq!(tokenizer.encode_prompt(text).expect("encodes"), ids, "{text:?}");
            }
            assert_eq!(tokenizer.decode(&ids).expect("decodes"), text);
            assert_exact(tokenizer, text, &stream);
        }
    }
    assert_eq!(vocabularies::merges(&real.tokens).len(), 439_802);
    assert_eq!((real.ranked.vocab_size(), real.converted.vocab_size()), (202_048, 201_135));
    assert_eq!(real.ranked.special_id("<|eot|>"), Some(200_008));
    assert_eq!(real.ranked.special_id("<|reserved_special_token_903|>"), Some(202_047));
    assert_ne!(real.ranked.content_hash(), real.converted.content_hash());
}

#[test]
fn a_piece_that_is_a_token_is_taken_whole() {
    for vocabulary in vocabularies::all().take(1) {
        for word in [" xyzzy", "plugh"] {
            let id = vocabulary.tokens.iter().position(|token| token == word.as_bytes()).expect("a word");
            for tokenizer in [&vocabulary.ranked, &vocabulary.converted] {
                assert_eq!(tokenizer.encode_document(word).expect("encodes").ids, [id as u32]);
                let longer = tokenizer.encode_document(&format!("{word}s")).expect("encodes");
                assert!(!longer.ids.contains(&(id as u32)));
            }
        }
    }
}

#[test]
fn names_of_special_tokens_in_a_document_stay_text() {
    for vocabulary in vocabularies::all() {
        let first = vocabulary.tokens.len() as u32;
        let tokenizer = &vocabulary.ranked;
        for (name, id) in llama4::specials().into_iter().zip(first..) {
            assert_eq!(tokenizer.special_id(&name), Some(id));
            assert!(tokenizer.is_special(id));
            assert_eq!(tokenizer.encode_prompt(&name).expect("encodes"), [id], "{name}");
            assert_eq!(tokenizer.token_bytes(id).expect("known"), name.as_bytes());
            let stream = tokenizer.encode_document(&name).expect("encodes");
            assert_exact(tokenizer, &name, &stream);
            for at in (1..name.len()).step_by(5) {
                let (head, tail) = name.split_at(at);
                for part in [head, tail] {
                    let ids = tokenizer.encode_document(part).expect("encodes").ids;
                    assert!(ids.iter().all(|id| *id < first), "{part:?} of {name}");
                }
            }
        }
        let prompt = "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|>";
        let ids = tokenizer.encode_prompt(prompt).expect("encodes");
        let specials: Vec<u32> = ids.iter().copied().filter(|id| *id >= first).collect();
        assert_eq!(specials, [first, first + 5, first + 6, first + 8]);
        assert_eq!(vocabulary.converted.encode_prompt(prompt).expect("encodes"), ids);
    }
}

#[test]
fn long_runs_are_encoded_like_short_ones() {
    for vocabulary in vocabularies::all() {
        for run in ["a", "A", " ", "\n", "日", "\u{301}", "!", "7"] {
            let text = format!("{run}x {}", run.repeat(300_000));
            let stream = vocabulary.ranked.encode_document(&text).expect("encodes");
            assert_exact(&vocabulary.ranked, &text, &stream);
            assert_eq!(stream, vocabulary.converted.encode_document(&text).expect("encodes"), "{run:?}");
            let text = run.repeat(500);
            let stream = vocabulary.ranked.encode_document(&text).expect("encodes");
            assert_eq!(stream.ids, by_definition(vocabulary, &text), "{run:?}");
        }
    }
}

/// [`text`] with special tokens' names, whole and broken, among other scripts.
fn marked_text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(llama4::specials());
    let part = prop_oneof![
        6 => text(),
        2 => special.clone(),
        1 => (special, any::<prop::sample::Index>()).prop_map(|(name, at)| name[..at.index(name.len())].into()),
        2 => "\\PC{0,12}",
        1 => "[\\p{Arabic}\\p{Devanagari}\\p{Hangul}\\p{Thai}]{0,12}",
        1 => "[ A-Za-z,.'0-9\\n]{0,60}",
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn every_text_has_the_ids_of_the_definition_and_comes_back(text in marked_text(), piece in 1usize..24) {
        for vocabulary in vocabularies::all() {
            let tokenizer = &vocabulary.ranked;
            let stream = tokenizer.encode_document(&text).expect("encodes");
            assert_exact(tokenizer, &text, &stream);
            prop_assert_eq!(tokenizer.decode(&stream.ids).expect("decodes"), text.clone());
            prop_assert_eq!(&stream.ids, &by_definition(vocabulary, &text));
            prop_assert_eq!(&stream, &vocabulary.converted.encode_document(&text).expect("encodes"));
            prop_assert_eq!(&stream, &tokenizer.encode_in_pieces(&text, piece, usize::MAX).expect("encodes"));
            let forced = tokenizer.encode_in_pieces(&text, piece, piece).expect("encodes");
            assert_exact(tokenizer, &text, &forced);
        }
    }
}
