//! From a checkpoint's tensors to the packed matrices the forward pass multiplies with. Shapes come from the config
//! and every tensor is held against them.

use crate::{
    Error, Result,
    config::{ModelConfig, model_name},
};
use compute::Ops;
use weights::{Container, Model, Tensor};

/// One layer's weights. Stacked by rows: `wqkv` [(n_heads + 2 n_kv_heads) * head_dim, dim] as q, k, v;
/// `w_gate_up` [2 hidden_dim, dim] as gate, up.
pub struct Layer<O: Ops> {
    pub attention_norm: Vec<f32>,
    pub wqkv: O::Matrix,
    /// [dim, n_heads * head_dim]
    pub wo: O::Matrix,
    pub ffn_norm: Vec<f32>,
    pub w_gate_up: O::Matrix,
    /// [dim, hidden_dim]
    pub w_down: O::Matrix,
}

pub struct Weights<O: Ops> {
    /// [vocab, dim]
    pub embedding: O::Matrix,
    pub layers: Vec<Layer<O>>,
    pub norm: Vec<f32>,
    /// [vocab, dim]; `None` when the head is the embedding table.
    pub head: Option<O::Matrix>,
}

/// Tensor names of one container, `{}` being the layer.
struct Names {
    embedding: &'static str,
    norm: &'static str,
    head: &'static str,
    attention_norm: &'static str,
    qkvo: [&'static str; 4],
    ffn_norm: &'static str,
    gate_up_down: [&'static str; 3],
}

const GGUF: Names = Names {
    embedding: "token_embd.weight",
    norm: "output_norm.weight",
    head: "output.weight",
    attention_norm: "blk.{}.attn_norm.weight",
    qkvo: [
        "blk.{}.attn_q.weight",
        "blk.{}.attn_k.weight",
        "blk.{}.attn_v.weight",
        "blk.{}.attn_output.weight",
    ],
    ffn_norm: "blk.{}.ffn_norm.weight",
    gate_up_down: ["blk.{}.ffn_gate.weight", "blk.{}.ffn_up.weight", "blk.{}.ffn_down.weight"],
};

const HUGGING_FACE: Names = Names {
    embedding: "model.embed_tokens.weight",
    norm: "model.norm.weight",
    head: "lm_head.weight",
    attention_norm: "model.layers.{}.input_layernorm.weight",
    qkvo: [
        "model.layers.{}.self_attn.q_proj.weight",
        "model.layers.{}.self_attn.k_proj.weight",
        "model.layers.{}.self_attn.v_proj.weight",
        "model.layers.{}.self_attn.o_proj.weight",
    ],
    ffn_norm: "model.layers.{}.post_attention_layernorm.weight",
    gate_up_down: [
        "model.layers.{}.mlp.gate_proj.weight",
        "model.layers.{}.mlp.up_proj.weight",
        "model.layers.{}.mlp.down_proj.weight",
    ],
};

struct Checkpoint<'a> {
    model: &'a Model,
    names: &'static Names,
}

impl<'a> Checkpoint<'a> {
    /// Holds the shape in the file against the config's.
    fn tensor(&self, template: &str, layer: usize, shape: &[usize]) -> Result<Tensor<'a>> {
        let name = template.replace("{}", &layer.to_string());
        let tensor = self.model.tensor(&name)?;
        let expected: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        if tensor.shape != expected {
            return Err(Error::Shape {
                model: model_name(self.model),
                tensor: name,
                expected,
                got: tensor.shape.to_vec(),
            });
        }
        Ok(tensor)
    }

    fn vector(&self, template: &str, layer: usize, len: usize) -> Result<Vec<f32>> {
        Ok(self.tensor(template, layer, &[len])?.dequantise()?)
    }

    fn layer<O: Ops>(&self, ops: &O, config: &ModelConfig, l: usize) -> Result<Layer<O>> {
        let c = config;
        let (q_dim, kv_dim) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        let [q, k, v, o] = self.names.qkvo;
        let [gate, up, down] = self.names.gate_up_down;
        let qkv = [
            self.tensor(q, l, &[q_dim, c.dim])?,
            self.tensor(k, l, &[kv_dim, c.dim])?,
            self.tensor(v, l, &[kv_dim, c.dim])?,
        ];
        let gate_up =
            [self.tensor(gate, l, &[c.hidden_dim, c.dim])?, self.tensor(up, l, &[c.hidden_dim, c.dim])?];
        Ok(Layer {
            attention_norm: self.vector(self.names.attention_norm, l, c.dim)?,
            wqkv: ops.matrix(&[&qkv[0], &qkv[1], &qkv[2]])?,
            wo: ops.matrix(&[&self.tensor(o, l, &[c.dim, q_dim])?])?,
            ffn_norm: self.vector(self.names.ffn_norm, l, c.dim)?,
            w_gate_up: ops.matrix(&[&gate_up[0], &gate_up[1]])?,
            w_down: ops.matrix(&[&self.tensor(down, l, &[c.dim, c.hidden_dim])?])?,
        })
    }
}

/// Packs every matrix for `ops`. Errors name the tensor.
pub fn load<O: Ops>(model: &Model, config: &ModelConfig, ops: &O) -> Result<Weights<O>> {
    let names = match model.container() {
        Container::Gguf => &GGUF,
        _ => &HUGGING_FACE,
    };
    refuse_biases(model)?;
    let checkpoint = Checkpoint { model, names };
    let table = [config.vocab, config.dim];
    Ok(Weights {
        embedding: ops.matrix(&[&checkpoint.tensor(names.embedding, 0, &table)?])?,
        layers: (0..config.n_layers).map(|l| checkpoint.layer(ops, config, l)).collect::<Result<_>>()?,
        norm: checkpoint.vector(names.norm, 0, config.dim)?,
        head: match config.tied_embeddings {
            true => None,
            false => Some(ops.matrix(&[&checkpoint.tensor(names.head, 0, &table)?])?),
        },
    })
}

/// A bias the plan has no place for would be dropped silently.
fn refuse_biases(model: &Model) -> Result<()> {
    match model.tensor_names().find(|name| name.ends_with(".bias")) {
        None => Ok(()),
        Some(name) => Err(Error::Unsupported {
            model: model_name(model),
            what: format!("tensor {name}"),
            supported: "matrices without biases",
        }),
    }
}
