//! Questions that step at the same time from threads of their own get the bits they would get alone.

use crate::golden::{fixture, flat, open};
use scout::{Cancel, Engine, Error, Numerics, Question, Sequence, Step};
use std::{
    ops::ControlFlow,
    sync::{Barrier, LazyLock},
    thread,
};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| open(&fixture("gguf/quantised.gguf"), Numerics::Fast));

const N_QUESTIONS: usize = 8;

/// Reproducible ids that are no special tokens.
fn some_ids(n: usize, seed: u32) -> Vec<u32> {
    (0..n as u32).map(|i| 3 + (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 7) % 256).collect()
}

/// What the answer to question `n` asks of the engine: several sequences that read a prompt each, with mass, and then
/// token by token. Prompts differ in length; one is longer than a pass.
fn ask(question: &Question<'_>, n: usize) -> Vec<f32> {
    let (layers, n_sequences) = (0..ENGINE.config().n_layers, 1 + n % 3);
    let prompts: Vec<Vec<u32>> =
        (0..n_sequences).map(|i| some_ids(1 + n * 53 + i * 7, (n * 10 + i) as u32)).collect();
    let mut sequences: Vec<Sequence> = prompts.iter().map(|_| ENGINE.sequence().unwrap()).collect();
    let steps = sequences.iter_mut().zip(&prompts).map(|(sequence, ids)| Step {
        sequence,
        ids,
        logits: ids.len() - 1..ids.len(),
        mass: Some((ids.len() / 2..ids.len(), layers.clone())),
    });
    let decoded = question.step(&mut steps.collect::<Vec<_>>()).unwrap();
    let mut got = flat(&decoded.logits);
    got.extend(decoded.mass.iter().flatten());
    for token in some_ids(6, n as u32) {
        let ids = [token];
        let step = |sequence| Step { sequence, ids: &ids, logits: 0..1, mass: None };
        let decoded = question.step(&mut sequences.iter_mut().map(step).collect::<Vec<_>>()).unwrap();
        got.extend(flat(&decoded.logits));
    }
    // A prompt without mass may be cut anywhere.
    let more = some_ids(40 * n + 2, 77 + n as u32);
    let step = Step { sequence: &mut sequences[0], ids: &more, logits: 0..more.len(), mass: None };
    got.extend(flat(&question.step(&mut [step]).unwrap().logits));
    got
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn eight_questions_at_once_get_the_bits_of_eight_in_a_row() {
    let alone: Vec<Vec<f32>> = (0..N_QUESTIONS).map(|n| ask(&ENGINE.question("local"), n)).collect();
    let start = Barrier::new(N_QUESTIONS);
    let together: Vec<Vec<f32>> = thread::scope(|scope| {
        let ask = |n: usize| {
            let start = &start;
            scope.spawn(move || {
                let question = ENGINE.question(["ann", "ben", "cy"][n % 3]);
                start.wait();
                ask(&question, n)
            })
        };
        let threads: Vec<_> = (0..N_QUESTIONS).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, (together, alone)) in together.iter().zip(&alone).enumerate() {
        assert!(bits(together) == bits(alone), "question {n} got other bits together with others");
    }
}

#[test]
fn refused_callers_fail_alone() {
    let (window, vocab) = (ENGINE.config().window as usize, ENGINE.config().vocab as u32);
    let expected = ask(&ENGINE.question("local"), 3);
    let start = Barrier::new(3);
    thread::scope(|scope| {
        let good = scope.spawn(|| {
            start.wait();
            ask(&ENGINE.question("good"), 3)
        });
        for bad in [vec![1, vocab], vec![1; window + 1]] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let mut sequence = ENGINE.sequence().unwrap();
                let before = sequence.next_pos();
                for _ in 0..20 {
                    let step = Step { sequence: &mut sequence, ids: &bad, logits: 0..0, mass: None };
                    let refused = ENGINE.question("bad").step(&mut [step]).err();
                    assert!(matches!(
                        refused,
                        Some(Error::TokenOutOfRange { .. } | Error::WindowExceeded { .. })
                    ));
                }
                assert_eq!(sequence.next_pos(), before);
            });
        }
        assert!(bits(&good.join().unwrap()) == bits(&expected));
    });
}

#[test]
fn a_cancelled_question_fails_and_its_sequence_can_be_used_by_another() {
    let cancel = Cancel::default();
    let question = ENGINE.question("local").cancelled_by(&cancel);
    let mut sequence = ENGINE.sequence().unwrap();
    let ids = some_ids(70, 1);
    let mut step = |question: &Question<'_>| {
        let step = Step { sequence: &mut sequence, ids: &ids, logits: 0..70, mass: None };
        question.step(&mut [step]).map(|decoding| flat(&decoding.logits))
    };
    cancel.cancel();
    assert!(matches!(step(&question), Err(Error::Cancelled)));
    let expected = ENGINE.step(&mut [Step {
        sequence: &mut ENGINE.sequence().unwrap(),
        ids: &ids,
        logits: 0..70,
        mass: None,
    }]);
    let got = step(&ENGINE.question("local")).unwrap();
    assert!(bits(&got) == bits(&flat(&expected.unwrap().logits)));
}

/// The first thing an engine does for a question is to read its header, which packs most of the weights.
#[test]
fn reading_the_header_can_be_cancelled_and_stopped() {
    let engine = open(&fixture("gguf/quantised.gguf"), Numerics::Fast);
    let cancel = Cancel::default();
    cancel.cancel();
    let question = engine.question("local").cancelled_by(&cancel);
    assert!(matches!(question.sequence(), Err(Error::Cancelled)));
    let prefill = |stop: usize| {
        let mut asked = 0;
        let ended = engine.prefill_part(&some_ids(100, 6), &mut |progress| {
            asked += 1;
            assert_eq!(progress.total, 100, "the header is nothing of the part");
            if asked == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (asked, ended.is_ok())
    };
    // One tile of each: asked after every layer and after the tile.
    let one_tile = engine.config().n_layers + 1;
    assert_eq!(prefill(2), (2, false), "stopped in the header");
    assert_eq!(prefill(usize::MAX), (2 * one_tile, true), "the header was not kept by the stopped one");
    assert_eq!(prefill(usize::MAX), (one_tile, true), "the header is read once");
    let (behind, expected) = (engine.question("local").sequence().unwrap(), ENGINE.sequence().unwrap());
    assert_eq!(behind.next_pos(), expected.next_pos());
}

/// What rebuilding a damaged segment does: prefill on one thread, waited for by a question on another.
#[test]
fn prefill_ends_within_a_question_that_waits_for_it() {
    let question = ENGINE.question("local");
    let before = ask(&question, 1);
    let part = thread::scope(|scope| {
        let prefill =
            scope.spawn(|| ENGINE.prefill_part(&some_ids(600, 5), &mut |_| ControlFlow::Continue(())));
        prefill.join().unwrap().unwrap()
    });
    assert_eq!(part.n_tokens, 600);
    assert!(bits(&ask(&question, 1)) == bits(&before));
}

#[test]
fn prefill_can_be_stopped_within_a_tile() {
    let mut calls = 0;
    let stopped = ENGINE.prefill_part(&some_ids(100, 6), &mut |progress| {
        calls += 1;
        assert_eq!((progress.done, progress.total), (0, 100));
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(calls, 1);
}
