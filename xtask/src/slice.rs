//! A slice of Llama 4 Scout at its real width: two layers, one that rotates in chunks and one that does not, with random
//! weights in the types that a converted checkpoint has. What it says means nothing; what it costs is what Scout costs.

use crate::random::Random;
use anyhow::{Result, bail};
use serde_json::json;
use std::path::Path;
use weights::{DType, SafetensorsWriter, TensorSpec};

const DIM: u64 = 5_120;
const HIDDEN: u64 = 8_192;
const KV_DIM: u64 = 1_024;
const EXPERTS: u64 = 16;
const VOCAB: u64 = 202_048;
const LAYERS: u64 = 2;
const GROUP: u64 = 128;
/// Bytes written at a time.
const BLOCK: usize = 1 << 22;

/// Writes the folder; it must not exist.
pub fn write(folder: &Path) -> Result<()> {
    if folder.exists() {
        bail!("{} is there already", folder.display());
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("config.json"), serde_json::to_string_pretty(&config())? + "\n")?;
    let tensors = tensors();
    let mut writer = SafetensorsWriter::create(&folder.join("model.safetensors"), &tensors)?;
    let mut random = Random::new(1);
    for tensor in &tensors {
        match tensor.dtype {
            DType::I64 => {
                let module = tensor.name.trim_end_matches(".weight_shape");
                let [rows, cols] = shape_of(module);
                writer.write(&[rows.to_le_bytes(), cols.to_le_bytes()].concat())?;
            }
            dtype => fill(&mut writer, tensor, dtype, &mut random)?,
        }
    }
    writer.finish()?;
    Ok(())
}

/// Values of the size that keeps activations near 1: norms 1, matrices about 0.02, int4 of ±8 steps of 0.003.
fn fill(
    writer: &mut SafetensorsWriter,
    tensor: &TensorSpec,
    dtype: DType,
    random: &mut Random,
) -> Result<()> {
    let mut left = tensor.bytes().unwrap_or(0);
    let norm = tensor.shape.len() == 1;
    let scale = tensor.name.ends_with("weight_scale");
    while left > 0 {
        let len = left.min(BLOCK as u64) as usize;
        let mut bytes = vec![0u8; len];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = random.bits().to_le_bytes();
        }
        if dtype == DType::BF16 {
            for value in bytes.as_chunks_mut::<2>().0 {
                // Sign and mantissa are random; the exponent fixes the size: 2^-6 to 2^-5, for scales 2^-9 to 2^-8.
                let drawn = u16::from_le_bytes(*value);
                let exponent: u16 = if scale { 118 } else { 121 };
                let sign = if scale { 0 } else { drawn & 0x8000 };
                let made = if norm { 0x3f80 } else { sign | exponent << 7 | drawn & 0x7f };
                *value = made.to_le_bytes();
            }
        }
        writer.write(&bytes)?;
        left -= len as u64;
    }
    Ok(())
}

fn shape_of(module: &str) -> [u64; 2] {
    if module.ends_with("down_proj") { [DIM, HIDDEN] } else { [HIDDEN, DIM] }
}

fn tensors() -> Vec<TensorSpec> {
    let spec = |name: String, dtype, shape: &[u64]| TensorSpec { name, dtype, shape: shape.to_vec() };
    let mut tensors = vec![
        spec("model.embed_tokens.weight".into(), DType::BF16, &[VOCAB, DIM]),
        spec("lm_head.weight".into(), DType::BF16, &[VOCAB, DIM]),
        spec("model.norm.weight".into(), DType::BF16, &[DIM]),
    ];
    for l in 0..LAYERS {
        let name = |role: &str| format!("model.layers.{l}.{role}");
        for (role, shape) in [
            ("input_layernorm.weight", &[DIM][..]),
            ("post_attention_layernorm.weight", &[DIM]),
            ("self_attn.q_proj.weight", &[DIM, DIM]),
            ("self_attn.k_proj.weight", &[KV_DIM, DIM]),
            ("self_attn.v_proj.weight", &[KV_DIM, DIM]),
            ("self_attn.o_proj.weight", &[DIM, DIM]),
            ("feed_forward.router.weight", &[EXPERTS, DIM]),
        ] {
            tensors.push(spec(name(role), DType::BF16, shape));
        }
        let networks = (0..EXPERTS).map(|e| format!("experts.{e}")).chain(["shared_expert".to_owned()]);
        for network in networks {
            for matrix in ["gate_proj", "up_proj", "down_proj"] {
                let module = name(&format!("feed_forward.{network}.{matrix}"));
                let [rows, cols] = shape_of(&module);
                tensors.push(spec(format!("{module}.weight_packed"), DType::I32, &[rows, cols / 8]));
                tensors.push(spec(format!("{module}.weight_scale"), DType::BF16, &[rows, cols / GROUP]));
                tensors.push(spec(format!("{module}.weight_shape"), DType::I64, &[2]));
            }
        }
    }
    tensors
}

fn config() -> serde_json::Value {
    json!({
        "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text",
        "vocab_size": VOCAB, "hidden_size": DIM, "intermediate_size": HIDDEN, "intermediate_size_mlp": 16_384,
        "num_hidden_layers": LAYERS, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 10_485_760, "rms_norm_eps": 1e-5, "num_local_experts": EXPERTS,
        "num_experts_per_tok": 1, "interleave_moe_layer_step": 1, "use_qk_norm": true,
        "attention_chunk_size": 8_192, "attn_temperature_tuning": true, "floor_scale": 8_192, "attn_scale": 0.1,
        "no_rope_layers": [1, 0], "rope_theta": 500_000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "rope_scaling": {
            "rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8_192,
        },
        "quantization_config": {
            "quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {"group_0": {
                "targets": ["Linear"],
                "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP, "symmetric": true},
            }},
            "ignore": ["lm_head", "re:.*self_attn.*", "re:.*router.*"],
        },
    })
}
