//! Tensor names of every container and family, `{}` being the layer.

use crate::config::ModelConfig;
use weights::{Container, Model};

/// Gate, up and down matrices of one network.
pub(super) type GateUpDown = [&'static str; 3];

pub(super) struct Names {
    pub embedding: &'static str,
    pub norm: &'static str,
    pub head: &'static str,
    pub attention_norm: &'static str,
    pub qkvo: [&'static str; 4],
    pub ffn_norm: &'static str,
    pub dense: GateUpDown,
    pub router: &'static str,
    pub shared: GateUpDown,
    pub experts: &'static [Stacked],
    /// `{e}` being the expert.
    pub expert: GateUpDown,
}

/// How a file stacks the experts of a layer.
#[derive(Clone, Copy)]
pub(super) enum Stacked {
    /// Three tensors.
    Rows(GateUpDown),
    /// Gate rows, then up rows, in one.
    Fused { gate_up: &'static str, down: &'static str },
    /// Gate columns, then up columns, in one: inputs along the rows.
    Transposed { gate_up: &'static str, down: &'static str },
}

/// Shapes of one network's gate, up and down.
pub(super) fn gate_up_down(hidden: usize, dim: usize) -> [[usize; 2]; 3] {
    [[hidden, dim], [hidden, dim], [dim, hidden]]
}

impl Stacked {
    /// The tensors' names, gate first and down last.
    pub fn names(&self) -> Vec<&'static str> {
        match *self {
            Self::Rows(names) => names.to_vec(),
            Self::Fused { gate_up, down } | Self::Transposed { gate_up, down } => vec![gate_up, down],
        }
    }

    /// The same with the shapes of `n` experts.
    pub fn tensors(&self, n: usize, hidden: usize, dim: usize) -> Vec<(&'static str, [usize; 3])> {
        let shapes = match self {
            Self::Rows(_) => gate_up_down(hidden, dim).map(|[out, inputs]| [n, out, inputs]).to_vec(),
            Self::Fused { .. } => vec![[n, 2 * hidden, dim], [n, dim, hidden]],
            Self::Transposed { .. } => vec![[n, dim, 2 * hidden], [n, hidden, dim]],
        };
        self.names().into_iter().zip(shapes).collect()
    }

    /// Whether an expert's matrices are `[in, out]`.
    pub fn is_transposed(&self) -> bool {
        matches!(self, Self::Transposed { .. })
    }
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
    dense: ["blk.{}.ffn_gate.weight", "blk.{}.ffn_up.weight", "blk.{}.ffn_down.weight"],
    router: "blk.{}.ffn_gate_inp.weight",
    shared: ["blk.{}.ffn_gate_shexp.weight", "blk.{}.ffn_up_shexp.weight", "blk.{}.ffn_down_shexp.weight"],
    experts: &[
        Stacked::Rows([
            "blk.{}.ffn_gate_exps.weight",
            "blk.{}.ffn_up_exps.weight",
            "blk.{}.ffn_down_exps.weight",
        ]),
        Stacked::Fused { gate_up: "blk.{}.ffn_gate_up_exps.weight", down: "blk.{}.ffn_down_exps.weight" },
    ],
    expert: ["blk.{}.ffn_gate.{e}.weight", "blk.{}.ffn_up.{e}.weight", "blk.{}.ffn_down.{e}.weight"],
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
    dense: [
        "model.layers.{}.mlp.gate_proj.weight",
        "model.layers.{}.mlp.up_proj.weight",
        "model.layers.{}.mlp.down_proj.weight",
    ],
    router: "model.layers.{}.feed_forward.router.weight",
    shared: [
        "model.layers.{}.feed_forward.shared_expert.gate_proj.weight",
        "model.layers.{}.feed_forward.shared_expert.up_proj.weight",
        "model.layers.{}.feed_forward.shared_expert.down_proj.weight",
    ],
    experts: &[Stacked::Transposed {
        gate_up: "model.layers.{}.feed_forward.experts.gate_up_proj",
        down: "model.layers.{}.feed_forward.experts.down_proj",
    }],
    expert: [
        "model.layers.{}.feed_forward.experts.{e}.gate_proj.weight",
        "model.layers.{}.feed_forward.experts.{e}.up_proj.weight",
        "model.layers.{}.feed_forward.experts.{e}.down_proj.weight",
    ],
};

/// Dense layers of `llama4` are named otherwise than those of `llama`.
const HUGGING_FACE_LLAMA4: Names = Names {
    dense: [
        "model.layers.{}.feed_forward.gate_proj.weight",
        "model.layers.{}.feed_forward.up_proj.weight",
        "model.layers.{}.feed_forward.down_proj.weight",
    ],
    ..HUGGING_FACE
};

/// In front of every name where a checkpoint holds other models too.
pub(super) const LANGUAGE_MODEL: &str = "language_model.";

pub(super) fn of(model: &Model, config: &ModelConfig) -> &'static Names {
    match (model.container(), &config.llama4) {
        (Container::Gguf, _) => &GGUF,
        (_, None) => &HUGGING_FACE,
        (_, Some(_)) => &HUGGING_FACE_LLAMA4,
    }
}
