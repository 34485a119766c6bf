//! The default model, SmolLM2-135M-Instruct in Q4_1, against Hugging Face f32 over the same dequantised weights.

use crate::golden::{distance, fixture, flat, open};
use scout::{ChatTemplate, Engine, Message, Numerics, Step, greedy, logits_of};
use serde::Deserialize;
use std::{path::PathBuf, sync::LazyLock};

/// Largest difference of a logit.
const REFERENCE_TOLERANCE: f32 = 1e-3;

/// `fixtures/smollm2/vectors.json`; made by transformers 5.23 in f32.
#[derive(Deserialize)]
struct Vectors {
    logits_for_ids: Vec<u32>,
    logits_at_positions: Vec<usize>,
    greedy: Vec<Continuation>,
}

#[derive(Deserialize)]
struct Continuation {
    messages: Vec<Turn>,
    prompt_ids: Vec<u32>,
    output_ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| {
    let bytes = std::fs::read(fixture("smollm2/vectors.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
});

fn model_path() -> Option<PathBuf> {
    let path = std::env::var_os("IBID_TEST_MODEL").map(PathBuf::from);
    if path.is_none() {
        println!("skipped: IBID_TEST_MODEL does not name the default model's GGUF file");
    }
    path
}

/// Rows of the logits fixture, `[positions, vocab]`.
fn expected_logits() -> Vec<f32> {
    let file = weights::Model::open(&fixture("smollm2/logits.safetensors")).unwrap();
    file.tensor("logits").unwrap().dequantise().unwrap()
}

fn logits_at_positions(path: &std::path::Path, numerics: Numerics) -> Vec<f32> {
    let logits = logits_of(path, numerics, &VECTORS.logits_for_ids).unwrap();
    VECTORS.logits_at_positions.iter().flat_map(|&pos| logits.row(pos).to_vec()).collect()
}

#[test]
fn reference_logits_are_hugging_faces() {
    let Some(path) = model_path() else { return };
    let (got, expected) = (logits_at_positions(&path, Numerics::Reference), expected_logits());
    let worst = got.iter().zip(&expected).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
    println!("largest difference of a logit: {worst:.2e}");
    assert_eq!(got.len(), expected.len());
    assert!(worst <= REFERENCE_TOLERANCE, "off by {worst:e}");
}

/// What int8 activations and keys cost: the same first choice everywhere, and logits near the exact ones.
#[test]
fn fast_logits_are_near_hugging_faces() {
    let Some(path) = model_path() else { return };
    let (got, expected) = (logits_at_positions(&path, Numerics::Fast), expected_logits());
    let off = distance(&got, &expected);
    println!("largest difference of a logit over the largest logit: {off:.2e}");
    assert!(off <= 0.02, "off by {off:e}");
    let vocab = expected.len() / VECTORS.logits_at_positions.len();
    for (got, expected) in got.chunks(vocab).zip(expected.chunks(vocab)) {
        assert_eq!(greedy(got), greedy(expected));
    }
}

#[test]
fn reference_path_continues_as_hugging_face_does() {
    continues(Numerics::Reference);
}

#[test]
fn fast_path_continues_as_hugging_face_does() {
    continues(Numerics::Fast);
}

fn continues(numerics: Numerics) {
    let Some(path) = model_path() else { return };
    let engine = open(&path, numerics);
    let template = chat_template(&path);
    for expected in &VECTORS.greedy {
        let messages: Vec<Message> =
            expected.messages.iter().map(|turn| Message::new(&turn.role, &turn.content)).collect();
        let prompt = template.render(&messages).unwrap();
        let prompt_ids = engine.tokenizer().encode_prompt(&prompt).unwrap();
        assert_eq!(prompt_ids, expected.prompt_ids, "{prompt}");
        let output_ids = continuation(&engine, &prompt_ids, expected.output_ids.len());
        let text = |ids: &[u32]| engine.tokenizer().decode(ids).unwrap();
        assert_eq!(
            output_ids,
            expected.output_ids,
            "{numerics:?} wrote {:?}, expected {:?}",
            text(&output_ids),
            text(&expected.output_ids)
        );
    }
}

/// The most likely tokens behind `prompt_ids`, no header before them, up to a stop token or `len` of them.
fn continuation(engine: &Engine, prompt_ids: &[u32], len: usize) -> Vec<u32> {
    let mut sequence = engine.empty_sequence();
    let (mut ids, mut output) = (prompt_ids.to_vec(), Vec::new());
    while output.len() < len && !output.last().is_some_and(|id| engine.stop_ids().contains(id)) {
        let last = ids.len() - 1..ids.len();
        let step = Step { sequence: &mut sequence, ids: &ids, logits: last, mass: None };
        let next = greedy(engine.step(&mut [step]).unwrap().logits.row(0));
        output.push(next);
        ids = vec![next];
    }
    output
}

fn chat_template(path: &std::path::Path) -> ChatTemplate {
    let file = weights::Model::open(path).unwrap();
    let source = file.metadata().str("tokenizer.chat_template").unwrap().unwrap().to_owned();
    ChatTemplate::new(source, "<|im_start|>".into(), "<|im_end|>".into())
}

/// On the model people run, with its nine heads over three: prefill in one go, in pieces and one by one.
#[test]
fn prefill_and_decode_give_the_same_bits() {
    let Some(path) = model_path() else { return };
    let engine = open(&path, Numerics::Fast);
    let ids = &VECTORS.logits_for_ids;
    let run = |pieces: &mut dyn Iterator<Item = &[u32]>| -> Vec<u32> {
        let mut sequence = engine.sequence().unwrap();
        let mut bits = Vec::new();
        for ids in pieces {
            let step = Step { sequence: &mut sequence, ids, logits: 0..ids.len(), mass: None };
            bits.extend(flat(&engine.step(&mut [step]).unwrap().logits).iter().map(|x| x.to_bits()));
        }
        bits
    };
    let whole = run(&mut std::iter::once(ids.as_slice()));
    assert!(run(&mut ids.chunks(13)) == whole, "in pieces");
    assert!(run(&mut ids.chunks(1)) == whole, "one by one");
}
