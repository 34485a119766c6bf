//! `ModelConfig`: what a checkpoint says of itself, read from GGUF metadata or `config.json`, in checkpoint words at
//! the border and in the engine's short set inside. Anything the engine would get wrong is refused by name.

use crate::{Error, Result};
use serde_json::Value;
use weights::{Container, Model};

const SUPPORTED: &str = "the llama family (RoPE everywhere, dense SwiGLU, no biases)";

/// Longest window, tokens.
const MAX_WINDOW: u64 = 1 << 24;
/// Most angles of the rotary table: window times half the head size; 8 bytes each.
const MAX_ANGLES: u64 = 1 << 28;
/// GGUF tensor with a divisor per frequency.
const ROPE_FREQS: &str = "rope_freqs.weight";

/// Frequency scaling of RoPE.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    None,
    /// Llama 3.1's rule (Hugging Face `rope_type: llama3`): long wavelengths divided by `factor`, a linear ramp between.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_pos: f64,
    },
    /// Divisor per frequency, `[head_dim / 2]` (GGUF tensor `rope_freqs.weight`).
    Divisors(Vec<f32>),
}

/// Sizes are counts of values; `window` is the longest sequence the model was made for, in tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    pub name: String,
    pub n_layers: usize,
    pub dim: usize,
    pub hidden_dim: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub vocab: usize,
    pub window: u64,
    pub rms_eps: f32,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    /// GGUF `llama` files hold Q and K rows permuted for interleaved pairs; Hugging Face files rotate halves.
    pub interleaved_pairs: bool,
    pub tied_embeddings: bool,
}

impl ModelConfig {
    pub fn read(model: &Model) -> Result<Self> {
        let config = match model.container() {
            Container::Gguf => from_gguf(model)?,
            _ => {
                let bytes = model.folder_file("config.json")?.ok_or_else(|| Error::MissingField {
                    model: model_name(model),
                    field: "config.json".into(),
                })?;
                from_json(model, &bytes)?
            }
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let bad = |field: &str, expected: &str, got: usize| bad_field(&self.name, field, expected, got);
        for (field, value, most) in [
            ("layers", self.n_layers, 1 << 12),
            ("width", self.dim, 1 << 20),
            ("hidden width", self.hidden_dim, 1 << 22),
            ("heads", self.n_heads, 1 << 12),
            ("KV heads", self.n_kv_heads, 1 << 12),
            ("head size", self.head_dim, 1 << 12),
            ("vocabulary", self.vocab, 1 << 24),
        ] {
            if value == 0 || value > most {
                return Err(bad(field, &format!("1 to {most}"), value));
            }
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(bad("heads", "a multiple of the KV heads", self.n_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(bad("head size", "an even number", self.head_dim));
        }
        if self.window == 0 || self.window > MAX_WINDOW {
            return Err(bad("window", &format!("1 to {MAX_WINDOW} tokens"), self.window as usize));
        }
        if self.window * (self.head_dim as u64 / 2) > MAX_ANGLES {
            let field = "window times half the head size";
            return Err(bad(
                field,
                &format!("at most {MAX_ANGLES}"),
                self.window as usize * self.head_dim / 2,
            ));
        }
        self.check_numbers()
    }

    /// Every number that the pass divides by, takes the root of or raises to a power.
    fn check_numbers(&self) -> Result<()> {
        let bad = |field: &str, expected: &str, got: f64| bad_field(&self.name, field, expected, got);
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(self.rope_theta) {
            return Err(bad("rope theta", "a finite number above 0", self.rope_theta));
        }
        if !(self.rms_eps.is_finite() && self.rms_eps >= 0.0) {
            return Err(bad("RMS norm epsilon", "a finite number, 0 or more", self.rms_eps.into()));
        }
        if let RopeScaling::Divisors(divisors) = &self.rope_scaling {
            if divisors.len() != self.head_dim / 2 {
                let expected = format!("{} values, half the head size", self.head_dim / 2);
                return Err(bad(ROPE_FREQS, &expected, divisors.len() as f64));
            }
            if let Some(divisor) = divisors.iter().find(|divisor| !positive(f64::from(**divisor))) {
                return Err(bad(ROPE_FREQS, "finite values above 0", f64::from(*divisor)));
            }
        }
        Ok(())
    }
}

fn bad_field(model: &str, field: &str, expected: &str, got: impl ToString) -> Error {
    Error::BadField {
        model: model.to_owned(),
        field: field.to_owned(),
        expected: expected.to_owned(),
        got: got.to_string(),
    }
}

/// File or folder name of a model, for messages and the API.
pub fn model_name(model: &Model) -> String {
    model.path().file_name().unwrap_or(model.path().as_os_str()).to_string_lossy().into_owned()
}

fn from_gguf(model: &Model) -> Result<ModelConfig> {
    let meta = model.metadata();
    let name = model_name(model);
    let missing = |field: String| Error::MissingField { model: model_name(model), field };
    let arch = meta.str("general.architecture")?.ok_or_else(|| missing("general.architecture".into()))?;
    if arch != "llama" {
        return Err(Error::Unsupported {
            model: name,
            what: format!("architecture {arch}"),
            supported: SUPPORTED,
        });
    }
    let size = |key: &str| -> Result<Option<usize>> { Ok(meta.u64(&format!("llama.{key}"))?.map(clamped)) };
    let need = |key: &str| -> Result<usize> { size(key)?.ok_or_else(|| missing(format!("llama.{key}"))) };
    let (dim, n_heads) = (need("embedding_length")?, need("attention.head_count")?);
    let head_dim = match size("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => dim.checked_div(n_heads).unwrap_or(0),
    };
    refuse_unless_equal(model, "llama.attention.value_length", size("attention.value_length")?, head_dim)?;
    refuse_unless_equal(model, "llama.rope.dimension_count", size("rope.dimension_count")?, head_dim)?;
    refuse_unless_equal(model, "llama.expert_count", size("expert_count")?.or(Some(0)), 0)?;
    if let Some(kind) = meta.str("llama.rope.scaling.type")?.filter(|kind| *kind != "none") {
        return Err(Error::Unsupported {
            model: name,
            what: format!("rope scaling {kind}"),
            supported: SUPPORTED,
        });
    }
    let vocab = match size("vocab_size")? {
        Some(vocab) => vocab,
        None => model.tensor("token_embd.weight")?.rows() as usize,
    };
    Ok(ModelConfig {
        name,
        n_layers: need("block_count")?,
        dim,
        hidden_dim: need("feed_forward_length")?,
        n_heads,
        n_kv_heads: size("attention.head_count_kv")?.unwrap_or(n_heads),
        head_dim,
        vocab,
        window: need("context_length")? as u64,
        rms_eps: meta
            .f32("llama.attention.layer_norm_rms_epsilon")?
            .ok_or_else(|| missing("llama.attention.layer_norm_rms_epsilon".into()))?,
        rope_theta: f64::from(meta.f32("llama.rope.freq_base")?.unwrap_or(10_000.0)),
        rope_scaling: match model.try_tensor(ROPE_FREQS)? {
            None => RopeScaling::None,
            Some(divisors) => RopeScaling::Divisors(divisors.dequantise()?),
        },
        interleaved_pairs: true,
        tied_embeddings: model.try_tensor("output.weight")?.is_none(),
    })
}

fn refuse_unless_equal(model: &Model, field: &str, got: Option<usize>, expected: usize) -> Result<()> {
    match got {
        Some(got) if got != expected => Err(bad_field(&model_name(model), field, &expected.to_string(), got)),
        _ => Ok(()),
    }
}

/// What does not fit is larger than any limit, and refused by it.
fn clamped(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn from_json(model: &Model, bytes: &[u8]) -> Result<ModelConfig> {
    let name = model_name(model);
    let json: Value =
        serde_json::from_slice(bytes).map_err(|source| Error::ConfigJson { model: name.clone(), source })?;
    let unsupported =
        |what: String| Error::Unsupported { model: model_name(model), what, supported: SUPPORTED };
    match json.get("model_type").and_then(Value::as_str) {
        Some("llama") => {}
        other => return Err(unsupported(format!("model_type {}", other.unwrap_or("(absent)")))),
    }
    for flag in ["attention_bias", "mlp_bias"] {
        if json.get(flag).and_then(Value::as_bool) == Some(true) {
            return Err(unsupported(flag.to_owned()));
        }
    }
    match json.get("hidden_act").and_then(Value::as_str) {
        None | Some("silu") => {}
        Some(other) => return Err(unsupported(format!("hidden_act {other}"))),
    }
    let size = |key: &str| whole(&name, &json, key);
    let need = |key: &str| {
        size(key)?.ok_or_else(|| Error::MissingField { model: name.clone(), field: key.to_owned() })
    };
    let (dim, n_heads) = (need("hidden_size")?, need("num_attention_heads")?);
    let rope = rope_object(&json);
    for object in [Some(&json), rope].into_iter().flatten() {
        if let Some(factor) = number(&name, object, "partial_rotary_factor")?.filter(|factor| *factor != 1.0)
        {
            return Err(unsupported(format!("partial_rotary_factor {factor}")));
        }
    }
    let rope_theta = match (number(&name, &json, "rope_theta")?, rope) {
        (Some(theta), _) => Some(theta),
        (None, Some(rope)) => number(&name, rope, "rope_theta")?,
        (None, None) => None,
    };
    Ok(ModelConfig {
        n_layers: need("num_hidden_layers")?,
        dim,
        hidden_dim: need("intermediate_size")?,
        n_heads,
        n_kv_heads: size("num_key_value_heads")?.unwrap_or(n_heads),
        head_dim: size("head_dim")?.unwrap_or(dim.checked_div(n_heads).unwrap_or(0)),
        vocab: need("vocab_size")?,
        window: need("max_position_embeddings")? as u64,
        rms_eps: number(&name, &json, "rms_norm_eps")?.unwrap_or(1e-6) as f32,
        rope_theta: rope_theta.unwrap_or(10_000.0),
        rope_scaling: scaling_from_json(model, rope)?,
        interleaved_pairs: false,
        tied_embeddings: json.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
        name,
    })
}

/// transformers 4 writes `rope_scaling`, transformers 5 `rope_parameters` (with `rope_theta` inside).
fn rope_object(json: &Value) -> Option<&Value> {
    ["rope_parameters", "rope_scaling"].iter().find_map(|key| json.get(key).filter(|v| v.is_object()))
}

/// A number of a JSON object; `None` where it is absent or null, an error where it is something else.
fn number(model: &str, json: &Value, key: &str) -> Result<Option<f64>> {
    field(model, json, key, "a number", Value::as_f64)
}

/// Likewise a whole number, 0 or more.
fn whole(model: &str, json: &Value, key: &str) -> Result<Option<usize>> {
    Ok(field(model, json, key, "a whole number, 0 or more", Value::as_u64)?.map(clamped))
}

fn field<T>(
    model: &str,
    json: &Value,
    key: &str,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>> {
    match json.get(key).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| bad_field(model, key, expected, value)),
    }
}

fn scaling_from_json(model: &Model, rope: Option<&Value>) -> Result<RopeScaling> {
    let Some(rope) = rope else { return Ok(RopeScaling::None) };
    let kind =
        rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    let name = model_name(model);
    let need = |key: &str| {
        let field = format!("rope scaling {key}");
        let value = number(&name, rope, key)?
            .ok_or_else(|| Error::MissingField { model: name.clone(), field: field.clone() })?;
        if value > 0.0 { Ok(value) } else { Err(bad_field(&name, &field, "a number above 0", value)) }
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: need("factor")?,
            low_freq_factor: need("low_freq_factor")?,
            high_freq_factor: need("high_freq_factor")?,
            original_max_pos: need("original_max_position_embeddings")?,
        }),
        other => Err(Error::Unsupported {
            model: model_name(model),
            what: format!("rope scaling {other}"),
            supported: SUPPORTED,
        }),
    }
}
