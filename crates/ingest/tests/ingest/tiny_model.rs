//! A two-layer random llama with a byte-level tokenizer, written as a GGUF file: small enough to prefill thousands of
//! tokens a second, real enough that every byte of its KV depends on every token before.

use std::path::{Path, PathBuf};

use serde_json::json;
use weights::{
    Array, DType, Value,
    testing::{GgufWriter, f32_bytes, quantise_q8_0, safetensors},
};

const DIM: u64 = 64;
const HIDDEN: u64 = 96;
const LAYERS: u64 = 2;
const HEADS: u64 = 2;
const KV_HEADS: u64 = 1;

pub fn write(folder: &Path, seed: u64) -> PathBuf {
    let tokens = tokens();
    let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let types = names.iter().map(|name| if name.starts_with("<|") { 3 } else { 1 }).collect();
    let head_dim = DIM / HEADS;
    let mut random = Random(seed);
    let mut gguf = GgufWriter::new()
        .str("general.architecture", "llama")
        .u64("llama.block_count", LAYERS)
        .u64("llama.embedding_length", DIM)
        .u64("llama.feed_forward_length", HIDDEN)
        .u64("llama.attention.head_count", HEADS)
        .u64("llama.attention.head_count_kv", KV_HEADS)
        .u64("llama.context_length", 4_096)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .str("tokenizer.ggml.model", "gpt2")
        .str("tokenizer.ggml.pre", "gpt2")
        .str_array("tokenizer.ggml.tokens", &names)
        .str_array("tokenizer.ggml.merges", &["t h", "i n"])
        .key("tokenizer.ggml.token_type", Value::Array(Array::U64(types)))
        .u64("tokenizer.ggml.eos_token_id", names.len() as u64 - 1)
        .str(
            "tokenizer.chat_template",
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        );
    let mut matrices = vec![("token_embd.weight".to_owned(), names.len() as u64, DIM)];
    for layer in 0..LAYERS {
        for (name, rows, cols) in [
            ("attn_q", HEADS * head_dim, DIM),
            ("attn_k", KV_HEADS * head_dim, DIM),
            ("attn_v", KV_HEADS * head_dim, DIM),
            ("attn_output", DIM, HEADS * head_dim),
            ("ffn_gate", HIDDEN, DIM),
            ("ffn_up", HIDDEN, DIM),
            ("ffn_down", DIM, HIDDEN),
        ] {
            matrices.push((format!("blk.{layer}.{name}.weight"), rows, cols));
        }
        for name in ["attn_norm", "ffn_norm"] {
            gguf = gguf.tensor_f32(&format!("blk.{layer}.{name}.weight"), &[DIM], &[1.0; DIM as usize]);
        }
    }
    gguf = gguf.tensor_f32("output_norm.weight", &[DIM], &[1.0; DIM as usize]);
    for (name, rows, cols) in matrices {
        let values: Vec<f32> = (0..rows * cols).map(|_| random.next() * 0.2).collect();
        gguf = gguf.tensor(&name, DType::Q8_0, &[rows, cols], &quantise_q8_0(&values));
    }
    let path = folder.join(format!("tiny-{seed}.gguf"));
    std::fs::write(&path, gguf.to_bytes()).unwrap();
    path
}

/// The same shape as a folder of safetensors, whose chat template lies beside the weights and not in them.
pub fn write_folder(folder: &Path, template: &str) {
    let mut random = Random(7);
    let head_dim = DIM / HEADS;
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![tokens().len() as u64, DIM])];
    for layer in 0..LAYERS {
        for (name, rows, cols) in [
            ("self_attn.q_proj", HEADS * head_dim, DIM),
            ("self_attn.k_proj", KV_HEADS * head_dim, DIM),
            ("self_attn.v_proj", KV_HEADS * head_dim, DIM),
            ("self_attn.o_proj", DIM, HEADS * head_dim),
            ("mlp.gate_proj", HIDDEN, DIM),
            ("mlp.up_proj", HIDDEN, DIM),
            ("mlp.down_proj", DIM, HIDDEN),
        ] {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), vec![rows, cols]));
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), vec![DIM]));
        }
    }
    tensors.push(("model.norm.weight".to_owned(), vec![DIM]));
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.next() * 0.2).collect();
            f32_bytes(&values)
        })
        .collect();
    let entries: Vec<_> = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape), bytes)| (name.as_str(), "F32", shape.as_slice(), bytes.as_slice()))
        .collect();
    let vocab: serde_json::Map<_, _> = tokens().into_iter().zip((0..).map(|id: u32| id.into())).collect();
    let special = |content: &str| json!({"id": vocab[content], "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special("<|im_start|>"), special("<|im_end|>")],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": ["t h", "i n"]},
    });
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": DIM, "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "head_dim": head_dim, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "vocab_size": tokens().len(), "tie_word_embeddings": true, "hidden_act": "silu",
    });
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("model.safetensors"), safetensors(&entries)).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let tokenizer_config = json!({"chat_template": template, "eos_token": "<|im_end|>"});
    std::fs::write(folder.join("tokenizer_config.json"), tokenizer_config.to_string()).unwrap();
}

/// The 256 byte symbols of byte-level BPE, two merged ones and the turn markers.
fn tokens() -> Vec<String> {
    let mut shifted = 256;
    let bytes = (0..=255_u32).map(|byte| {
        let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let code = if printable { byte } else { shifted };
        shifted += u32::from(!printable);
        char::from_u32(code).unwrap().to_string()
    });
    bytes.chain(["th", "in", "<|im_start|>", "<|im_end|>"].map(String::from)).collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014), as numbers from −1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}
