//! The special tokens of Llama 4, which its `tokenizer.model` does not hold: names in the order of their ids.
//!
//! Source: `models/llama4/tokenizer.py` of meta-llama/llama-models. A `tokenizer.json` converted from the file stops at
//! id 201,134, which it calls `<|finetune_right_pad_id|>`; its own names are used there.

/// Ordinary tokens, and the id of the first special one.
pub const RANKS: u32 = 200_000;
/// Special tokens, all in all.
pub const SPECIALS: usize = 2048;

const TEXT: [&str; 10] = [
    "begin_of_text",
    "end_of_text",
    "fim_prefix",
    "fim_middle",
    "fim_suffix",
    "header_start",
    "header_end",
    "eom",
    "eot",
    "step",
];

/// Spellings of all special tokens; the first has the id [`RANKS`].
pub fn specials() -> Vec<String> {
    let mut names: Vec<String> = TEXT.map(String::from).into();
    let reserved = |kind: &str, numbers: std::ops::Range<usize>| {
        let kind = kind.to_owned();
        numbers.map(move |number| format!("{kind}reserved_special_token_{number}"))
    };
    let named = |list: &[&str]| list.iter().map(|name| String::from(*name)).collect::<Vec<_>>();
    names.extend(reserved("text_post_train_", 0..6));
    names.extend(named(&["python_start", "python_end", "finetune_right_pad"]));
    // Meta's numbers leave out 6 and 7 here.
    names.extend(reserved("text_post_train_", 8..69));
    names.extend(named(&["image_start", "image_end"]));
    names.extend(reserved("vision_", 0..2));
    names.extend(named(&["tile_x_separator", "tile_y_separator"]));
    names.extend(reserved("vision_", 2..6));
    names.extend(named(&["image"]));
    names.extend(reserved("vision_", 6..7));
    names.extend(named(&["patch"]));
    names.extend(reserved("vision_", 7..1048));
    names.extend(reserved("reasoning_", 0..8));
    names.extend(named(&["reasoning_thinking_start", "reasoning_thinking_end"]));
    let left = SPECIALS - names.len();
    names.extend(reserved("", 0..left));
    names.into_iter().map(|name| format!("<|{name}|>")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_ids_that_meta_gave_them() {
        let specials = specials();
        let distinct: std::collections::HashSet<&String> = specials.iter().collect();
        assert_eq!((specials.len(), distinct.len()), (SPECIALS, SPECIALS));
        for (id, name) in [
            (200_000, "<|begin_of_text|>"),
            (200_001, "<|end_of_text|>"),
            (200_002, "<|fim_prefix|>"),
            (200_004, "<|fim_suffix|>"),
            (200_005, "<|header_start|>"),
            (200_006, "<|header_end|>"),
            (200_007, "<|eom|>"),
            (200_008, "<|eot|>"),
            (200_009, "<|step|>"),
            (200_010, "<|text_post_train_reserved_special_token_0|>"),
            (200_015, "<|text_post_train_reserved_special_token_5|>"),
            (200_016, "<|python_start|>"),
            (200_017, "<|python_end|>"),
            (200_018, "<|finetune_right_pad|>"),
            (200_019, "<|text_post_train_reserved_special_token_8|>"),
            (200_079, "<|text_post_train_reserved_special_token_68|>"),
            (200_080, "<|image_start|>"),
            (200_081, "<|image_end|>"),
            (200_083, "<|vision_reserved_special_token_1|>"),
            (200_084, "<|tile_x_separator|>"),
            (200_085, "<|tile_y_separator|>"),
            (200_089, "<|vision_reserved_special_token_5|>"),
            (200_090, "<|image|>"),
            (200_091, "<|vision_reserved_special_token_6|>"),
            (200_092, "<|patch|>"),
            (200_093, "<|vision_reserved_special_token_7|>"),
            (201_133, "<|vision_reserved_special_token_1047|>"),
            (201_134, "<|reasoning_reserved_special_token_0|>"),
            (201_141, "<|reasoning_reserved_special_token_7|>"),
            (201_142, "<|reasoning_thinking_start|>"),
            (201_143, "<|reasoning_thinking_end|>"),
            (201_144, "<|reserved_special_token_0|>"),
            (202_047, "<|reserved_special_token_903|>"),
        ] {
            assert_eq!(specials[id - RANKS as usize], name, "{id}");
        }
    }
}
