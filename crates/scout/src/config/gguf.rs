//! The config of a GGUF file, from its metadata.

use super::llama4::{self, Experts, Llama4, Temperature};
use super::{ModelConfig, ROPE_FREQS, RopeScaling, SUPPORTED, bad_field, clamped, model_name};
use crate::{Error, Result};
use weights::Model;

/// Keys of one architecture.
struct Keys<'a> {
    model: &'a Model,
    arch: &'a str,
}

impl Keys<'_> {
    fn missing(&self, key: &str) -> Error {
        Error::MissingField { model: model_name(self.model), field: format!("{}.{key}", self.arch) }
    }

    fn size(&self, key: &str) -> Result<Option<usize>> {
        Ok(self.model.metadata().u64(&format!("{}.{key}", self.arch))?.map(clamped))
    }

    fn need(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    fn number(&self, key: &str) -> Result<Option<f32>> {
        Ok(self.model.metadata().f32(&format!("{}.{key}", self.arch))?)
    }

    fn refuse_unless(&self, key: &str, expected: usize) -> Result<()> {
        match self.size(key)? {
            Some(got) if got != expected => {
                let field = format!("{}.{key}", self.arch);
                Err(bad_field(&model_name(self.model), &field, &expected.to_string(), got))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn read(model: &Model) -> Result<ModelConfig> {
    let meta = model.metadata();
    let name = model_name(model);
    let unsupported =
        |what: String| Error::Unsupported { model: model_name(model), what, supported: SUPPORTED };
    let arch = meta
        .str("general.architecture")?
        .ok_or_else(|| Error::MissingField { model: name.clone(), field: "general.architecture".into() })?;
    if !["llama", "llama4"].contains(&arch) {
        return Err(unsupported(format!("architecture {arch}")));
    }
    let keys = Keys { model, arch };
    let (dim, n_heads, n_layers) =
        (keys.need("embedding_length")?, keys.need("attention.head_count")?, keys.need("block_count")?);
    let head_dim = match keys.size("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => dim.checked_div(n_heads).unwrap_or(0),
    };
    keys.refuse_unless("attention.value_length", head_dim)?;
    keys.refuse_unless("rope.dimension_count", head_dim)?;
    if let Some(kind) = meta.str(&format!("{arch}.rope.scaling.type"))?.filter(|kind| *kind != "none") {
        return Err(unsupported(format!("rope scaling {kind}")));
    }
    let llama4 = match arch {
        "llama4" => Some(read_llama4(&keys, n_layers.min(super::MAX_LAYERS))?),
        _ => {
            if keys.size("expert_count")?.unwrap_or(0) != 0 {
                keys.refuse_unless("expert_count", 0)?;
            }
            None
        }
    };
    let vocab = match keys.size("vocab_size")? {
        Some(vocab) => vocab,
        None => model.tensor("token_embd.weight")?.rows() as usize,
    };
    let eps = "attention.layer_norm_rms_epsilon";
    Ok(ModelConfig {
        name,
        n_layers,
        dim,
        hidden_dim: keys.need("feed_forward_length")?,
        n_heads,
        n_kv_heads: keys.size("attention.head_count_kv")?.unwrap_or(n_heads),
        head_dim,
        vocab,
        window: keys.need("context_length")? as u64,
        rms_eps: keys.number(eps)?.ok_or_else(|| keys.missing(eps))?,
        rope_theta: f64::from(keys.number("rope.freq_base")?.unwrap_or(10_000.0)),
        rope_scaling: match model.try_tensor(ROPE_FREQS)? {
            None => RopeScaling::None,
            Some(divisors) => RopeScaling::Divisors(divisors.dequantise()?),
        },
        interleaved_pairs: true,
        tied_embeddings: model.try_tensor("output.weight")?.is_none(),
        llama4,
    })
}

/// llama.cpp fixes by architecture what the file does not say. The keys under `ibid.` override that for small models
/// of our own, which no other program has to read.
fn read_llama4(keys: &Keys<'_>, n_layers: usize) -> Result<Llama4> {
    let meta = keys.model.metadata();
    let n_experts = keys.size("expert_count")?.unwrap_or(0);
    if keys.size("attention.sliding_window")? == Some(0) {
        return Err(Error::Unsupported {
            model: model_name(keys.model),
            what: "llama4.attention.sliding_window 0 (no chunks, rotation everywhere)".into(),
            supported: SUPPORTED,
        });
    }
    let own = |key: &str| -> Result<Option<f64>> { Ok(meta.f32(key)?.map(f64::from)) };
    let rope = llama4::rope_by_interval(n_layers, llama4::NO_ROPE_INTERVAL);
    Ok(Llama4 {
        chunk: Some(meta.u64("ibid.attention_chunk_size")?.unwrap_or(llama4::CHUNK)),
        chunked: rope.clone(),
        rope,
        // Maverick, the one with 128 experts, has none.
        qk_norm: n_experts != 128,
        temperature: Some(Temperature {
            floor_scale: own("ibid.floor_scale")?.unwrap_or(llama4::FLOOR_SCALE),
            attn_scale: own("ibid.attn_scale")?.unwrap_or(llama4::ATTN_SCALE),
        }),
        experts: Experts {
            n_experts,
            active: keys.size("expert_used_count")?.unwrap_or(1),
            hidden_dim: match keys.size("expert_feed_forward_length")? {
                Some(hidden) => hidden,
                None => keys.need("feed_forward_length")?,
            },
            layers: match n_experts {
                0 => vec![false; n_layers],
                _ => llama4::experts_by_step(n_layers, keys.size("interleave_moe_layer_step")?.unwrap_or(1)),
            },
        },
    })
}
