//! `ModelConfig`: what a checkpoint says of itself, read from GGUF metadata or `config.json`, in checkpoint words at
//! the border and in the engine's short set inside. Anything the engine would get wrong is refused by name.

mod gguf;
mod json;
mod llama4;

pub use llama4::{Experts, Llama4, Temperature};

use crate::{Error, Result};
use weights::{Container, Model};

const SUPPORTED: &str =
    "the llama family (RoPE everywhere, dense SwiGLU, no biases) and the text part of llama4";

const MAX_LAYERS: usize = 1 << 12;

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
    /// Of a dense feed-forward network.
    pub hidden_dim: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub vocab: usize,
    pub window: u64,
    pub rms_eps: f32,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    /// GGUF `llama` files hold Q and K rows permuted for interleaved pairs, and `llama4` has none but those; Hugging
    /// Face files of `llama` rotate halves.
    pub interleaved_pairs: bool,
    pub tied_embeddings: bool,
    /// `None`: the `llama` family.
    pub llama4: Option<Llama4>,
}

impl ModelConfig {
    pub fn read(model: &Model) -> Result<Self> {
        let config = match model.container() {
            Container::Gguf => gguf::read(model)?,
            _ => {
                let bytes = model.folder_file("config.json")?.ok_or_else(|| Error::MissingField {
                    model: model_name(model),
                    field: "config.json".into(),
                })?;
                json::read(model, &bytes)?
            }
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let bad = |field: &str, expected: &str, got: usize| bad_field(&self.name, field, expected, got);
        for (field, value, most) in [
            ("layers", self.n_layers, MAX_LAYERS),
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
        let angles = self.n_angles();
        if angles > MAX_ANGLES {
            let field = "positions that rotate times half the head size";
            return Err(bad(field, &format!("at most {MAX_ANGLES}"), angles as usize));
        }
        self.check_llama4()?;
        self.check_numbers()
    }

    /// Angles of the rotary table. Inside attention chunks positions start anew, so that the table is as long as one.
    fn n_angles(&self) -> u64 {
        let periodic = self.llama4.as_ref().and_then(|llama4| {
            let all = llama4.rope.iter().zip(&llama4.chunked).all(|(rope, chunked)| !rope || *chunked);
            llama4.chunk.filter(|_| all)
        });
        periodic.unwrap_or(self.window).saturating_mul(self.head_dim as u64 / 2)
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

/// What does not fit is larger than any limit, and refused by it.
fn clamped(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
