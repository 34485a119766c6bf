//! Models the engine would get wrong and inputs it cannot take: each refused by name, with the error's variant and
//! its text.

use crate::golden::{fixture, open};
use scout::{Error, Numerics, Step, logits_of};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tempfile::TempDir;
use weights::{DType, testing::GgufWriter};

/// A folder `model` with the tied checkpoint and its config changed; removed with the value.
fn folder(change: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("model");
    fs::create_dir(&path).unwrap();
    fs::copy(fixture("tied/model.safetensors"), path.join("model.safetensors")).unwrap();
    let mut config = serde_json::from_slice(&fs::read(fixture("tied/config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::write(path.join("config.json"), config.to_string()).unwrap();
    (parent, path)
}

/// A complete GGUF model of one layer, all weights 0, without the metadata key `without`.
fn gguf(without: &str) -> GgufWriter {
    let mut writer = GgufWriter::new().str("general.architecture", "llama");
    for (key, value) in [
        ("llama.block_count", 1),
        ("llama.context_length", 64),
        ("llama.embedding_length", 32),
        ("llama.feed_forward_length", 32),
        ("llama.attention.head_count", 2),
    ] {
        if key != without {
            writer = writer.u64(key, value);
        }
    }
    writer = writer.f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
    for name in ["attn_norm", "ffn_norm"] {
        writer = zeros(writer, &format!("blk.0.{name}.weight"), &[32]);
    }
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
        writer = zeros(writer, &format!("blk.0.{name}.weight"), &[32, 32]);
    }
    zeros(zeros(writer, "token_embd.weight", &[8, 32]), "output_norm.weight", &[32])
}

fn zeros(writer: GgufWriter, name: &str, shape: &[u64]) -> GgufWriter {
    let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
    writer.tensor(name, DType::F32, shape, &bytes)
}

/// Writes `model.gguf` and runs it.
fn run_gguf(writer: &GgufWriter, ids: &[u32]) -> Result<compute::Rows, Error> {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("model.gguf");
    fs::write(&path, writer.to_bytes()).unwrap();
    logits_of(&path, Numerics::Reference, ids)
}

fn refused_folder(change: impl FnOnce(&mut Value)) -> Error {
    let (_parent, path) = folder(change);
    logits_of(&path, Numerics::Reference, &[1]).unwrap_err()
}

/// Asserts variant and text.
macro_rules! assert_error {
    ($error:expr, $variant:pat, $text:expr) => {
        let error = $error;
        assert!(matches!(error, $variant), "unexpected variant: {error:?}");
        assert_eq!(error.to_string(), $text);
    };
}

#[test]
fn the_untouched_models_run() {
    assert!(run_gguf(&gguf(""), &[1, 2]).is_ok());
    let (_parent, path) = folder(|_| ());
    assert!(logits_of(&path, Numerics::Reference, &[1, 2]).is_ok());
}

#[test]
fn unknown_architecture() {
    assert_error!(
        refused_folder(|config| config["model_type"] = json!("mistral")),
        Error::Unsupported { .. },
        "model: model_type mistral is not supported; supported are the llama family (RoPE everywhere, dense SwiGLU, \
         no biases) and the text part of llama4"
    );
    let writer = GgufWriter::new().str("general.architecture", "qwen2").tensor_f32("x", &[1], &[0.0]);
    assert_error!(
        run_gguf(&writer, &[1]).unwrap_err(),
        Error::Unsupported { .. },
        "model.gguf: architecture qwen2 is not supported; supported are the llama family (RoPE everywhere, dense \
         SwiGLU, no biases) and the text part of llama4"
    );
}

#[test]
fn missing_field() {
    assert_error!(
        refused_folder(|config| {
            config.as_object_mut().unwrap().remove("intermediate_size");
        }),
        Error::MissingField { .. },
        "model: intermediate_size is missing; the file is not a complete model, fetch it again"
    );
    assert_error!(
        run_gguf(&gguf("llama.context_length"), &[1]).unwrap_err(),
        Error::MissingField { .. },
        "model.gguf: llama.context_length is missing; the file is not a complete model, fetch it again"
    );
}

#[test]
fn field_out_of_range() {
    assert_error!(
        refused_folder(|config| config["num_key_value_heads"] = json!(3)),
        Error::BadField { .. },
        "model: heads is 4, expected a multiple of the KV heads"
    );
    assert_error!(
        refused_folder(|config| config["num_hidden_layers"] = json!(0)),
        Error::BadField { .. },
        "model: layers is 0, expected 1 to 4096"
    );
}

#[test]
fn numbers_that_no_model_has() {
    type Case = (fn(&mut Value), &'static str);
    let cases: [Case; 9] = [
        (|c| c["rope_theta"] = json!(0.0), "rope theta is 0, expected a finite number above 0"),
        (|c| c["rope_theta"] = json!(-1e4), "rope theta is -10000, expected a finite number above 0"),
        (|c| c["rope_theta"] = json!("1e4"), "rope_theta is \"1e4\", expected a number"),
        (|c| c["rms_norm_eps"] = json!(-1e-5), "RMS norm epsilon is -0.0000099"),
        (
            |c| c["rms_norm_eps"] = json!(1e300),
            "RMS norm epsilon is inf, expected a finite number, 0 or more",
        ),
        (
            |c| c["num_key_value_heads"] = json!(-1),
            "num_key_value_heads is -1, expected a whole number, 0 or more",
        ),
        (|c| c["num_hidden_layers"] = json!(u64::MAX), "layers is 18446744073709551615, expected 1 to 4096"),
        (
            |c| c["max_position_embeddings"] = json!(1_u64 << 32),
            "window is 4294967296, expected 1 to 16777216 tokens",
        ),
        (|c| c["head_dim"] = json!(2.5), "head_dim is 2.5, expected a whole number, 0 or more"),
    ];
    for (change, expected) in cases {
        let error = refused_folder(change);
        assert!(matches!(error, Error::BadField { .. }), "{expected}: {error:?}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    let wide = refused_folder(|config| {
        config["max_position_embeddings"] = json!(1 << 24);
        config["head_dim"] = json!(128);
    });
    assert!(
        wide.to_string().contains("positions that rotate times half the head size is 1073741824"),
        "{wide}"
    );
    assert_error!(
        run_gguf(&gguf("").f32("llama.rope.freq_base", f32::NAN), &[1]).unwrap_err(),
        Error::BadField { .. },
        "model.gguf: rope theta is NaN, expected a finite number above 0"
    );
}

#[test]
fn partial_rotation() {
    let text = "model: partial_rotary_factor 0.5 is not supported; supported are the llama family (RoPE everywhere, dense \
                SwiGLU, no biases) and the text part of llama4";
    let outside = refused_folder(|config| config["partial_rotary_factor"] = json!(0.5));
    assert_error!(outside, Error::Unsupported { .. }, text);
    let inside = refused_folder(|config| {
        config["rope_parameters"] =
            json!({"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5});
    });
    assert_error!(inside, Error::Unsupported { .. }, text);
    let (_parent, whole) = folder(|config| config["partial_rotary_factor"] = json!(1.0));
    assert!(logits_of(&whole, Numerics::Reference, &[1]).is_ok());
}

#[test]
fn rope_divisors_of_the_wrong_number_or_size() {
    let run = |divisors: &[f32]| {
        let writer = gguf("").tensor_f32("rope_freqs.weight", &[divisors.len() as u64], divisors);
        run_gguf(&writer, &[1, 2])
    };
    run(&[1.0; 8]).unwrap();
    assert_error!(
        run(&[1.0; 4]).unwrap_err(),
        Error::BadField { .. },
        "model.gguf: rope_freqs.weight is 4, expected 8 values, half the head size"
    );
    for bad in [0.0, -1.0, f32::INFINITY, f32::NAN] {
        let mut divisors = [1.0; 8];
        divisors[5] = bad;
        let error = run(&divisors).unwrap_err();
        let expected = format!("model.gguf: rope_freqs.weight is {bad}, expected finite values above 0");
        assert_error!(error, Error::BadField { .. }, expected);
    }
}

#[test]
fn config_that_is_no_json() {
    let (_parent, path) = folder(|_| ());
    fs::write(path.join("config.json"), "{\"model_type\": ").unwrap();
    assert_error!(
        logits_of(&path, Numerics::Reference, &[1]).unwrap_err(),
        Error::Weights(weights::Error::Json { .. }),
        format!(
            "bad JSON in {}/config.json: EOF while parsing a value at line 1 column 15; the file is damaged, fetch it again",
            path.display()
        )
    );
}

#[test]
fn tensor_of_another_shape() {
    assert_error!(
        refused_folder(|config| config["intermediate_size"] = json!(128)),
        Error::Shape { .. },
        "model: tensor model.layers.0.mlp.gate_proj.weight has shape [96, 64], the config asks for [128, 64]"
    );
}

#[test]
fn missing_tensor() {
    let (_parent, path) = folder(|config| config["num_hidden_layers"] = json!(3));
    assert_error!(
        logits_of(&path, Numerics::Reference, &[1]).unwrap_err(),
        Error::Weights(weights::Error::MissingTensor { .. }),
        format!("{} holds no tensor `model.layers.2.self_attn.q_proj.weight`", path.display())
    );
}

#[test]
fn bias() {
    assert_error!(
        run_gguf(&zeros(gguf(""), "blk.0.attn_q.bias", &[32]), &[1]).unwrap_err(),
        Error::Unsupported { .. },
        "model.gguf: tensor blk.0.attn_q.bias is not supported; supported are matrices without biases"
    );
    assert_error!(
        refused_folder(|config| config["attention_bias"] = json!(true)),
        Error::Unsupported { .. },
        "model: attention_bias is not supported; supported are the llama family (RoPE everywhere, dense SwiGLU, no \
         biases) and the text part of llama4"
    );
}

#[test]
fn unknown_rope_scaling() {
    assert_error!(
        refused_folder(|config| config["rope_scaling"] = json!({"rope_type": "yarn", "factor": 4.0})),
        Error::Unsupported { .. },
        "model: rope scaling yarn is not supported; supported are the llama family (RoPE everywhere, dense SwiGLU, \
         no biases) and the text part of llama4"
    );
    // The spelling of the first checkpoints that had one.
    assert_error!(
        refused_folder(|config| config["rope_scaling"] = json!({"type": "linear", "factor": 2.0})),
        Error::Unsupported { .. },
        "model: rope scaling linear is not supported; supported are the llama family (RoPE everywhere, dense SwiGLU, \
         no biases) and the text part of llama4"
    );
    assert_error!(
        run_gguf(&gguf("").str("llama.rope.scaling.type", "yarn"), &[1]).unwrap_err(),
        Error::Unsupported { .. },
        "model.gguf: rope scaling yarn is not supported; supported are the llama family (RoPE everywhere, dense \
         SwiGLU, no biases) and the text part of llama4"
    );
}

#[test]
fn incomplete_rope_scaling() {
    assert_error!(
        refused_folder(|config| config["rope_scaling"] = json!({"rope_type": "llama3", "factor": 4.0})),
        Error::MissingField { .. },
        "model: rope scaling low_freq_factor is missing; the file is not a complete model, fetch it again"
    );
}

#[test]
fn token_outside_the_vocabulary() {
    assert_error!(
        logits_of(&fixture("tied"), Numerics::Fast, &[5, 128]).unwrap_err(),
        Error::TokenOutOfRange { id: 128, vocab: 128 },
        "token 128 is outside the vocabulary of 128"
    );
}

#[test]
fn window_exceeded() {
    assert!(logits_of(&fixture("tied"), Numerics::Fast, &[1; 256]).is_ok());
    assert_error!(
        logits_of(&fixture("tied"), Numerics::Fast, &[1; 257]).unwrap_err(),
        Error::WindowExceeded { asked: 257, window: 256 },
        "257 tokens do not fit the model's window of 256; ask about less or shorten the question"
    );
}

#[test]
fn a_refused_batch_leaves_every_sequence_as_it_was() {
    let engine = open(&fixture("gguf/quantised.gguf"), Numerics::Fast);
    let (mut first, mut second) = (engine.sequence().unwrap(), engine.sequence().unwrap());
    let before = first.next_pos();
    let window = engine.config().window as usize;
    for bad in [vec![engine.config().vocab as u32], vec![1; window + 1]] {
        let mut step = |ids: &[u32]| {
            let good = Step { sequence: &mut first, ids: &[1, 2], logits: 0..0, mass: None };
            let other = Step { sequence: &mut second, ids, logits: 0..0, mass: None };
            engine.step(&mut [good, other]).map(drop)
        };
        assert!(step(&bad).is_err());
        assert_eq!((first.next_pos(), second.next_pos()), (before, before));
    }
}
