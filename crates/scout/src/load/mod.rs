//! From a checkpoint's tensors to the packed matrices the forward pass multiplies with. Shapes come from the config
//! and every tensor is held against them.

mod experts;
mod kept;
mod lazy;
mod names;

pub use experts::ExpertStore;

use crate::{
    Error, Result,
    config::{ModelConfig, model_name},
};
use compute::{Ops, Rows};
use lazy::Lazy;
use names::{LANGUAGE_MODEL, Names, gate_up_down};
use std::sync::Arc;
use weights::{Model, Tensor};

/// One layer's weights; `wqkv` `[(n_heads + 2 n_kv_heads) * head_dim, dim]` stacks q, k, v by rows.
pub struct Layer<O: Ops> {
    pub attention_norm: Vec<f32>,
    pub wqkv: O::Matrix,
    /// [dim, n_heads * head_dim]
    pub wo: O::Matrix,
    pub ffn_norm: Vec<f32>,
    pub feed_forward: FeedForward<O>,
}

/// What follows attention.
pub enum FeedForward<O: Ops> {
    Dense(Network<O>),
    /// The experts themselves are in [`Weights::experts`].
    Routed {
        /// [n_experts, dim]
        router: Rows,
        shared: Network<O>,
    },
}

/// `w_gate_up` `[2 hidden, dim]` stacks gate and up by rows, `w_down` is `[dim, hidden]`.
pub struct Network<O: Ops> {
    pub w_gate_up: O::Matrix,
    pub w_down: O::Matrix,
}

impl<O: Ops> Network<O> {
    fn pack(ops: &O, gate_up: &[&Tensor<'_>], down: &Tensor<'_>) -> Result<Self> {
        Ok(Self { w_gate_up: ops.matrix(gate_up)?, w_down: ops.matrix(&[down])? })
    }

    fn bytes(&self, ops: &O) -> u64 {
        ops.matrix_bytes(&self.w_gate_up) + ops.matrix_bytes(&self.w_down)
    }
}

/// All weights of a model; each is packed for `O` when it is first asked for.
pub struct Weights<O: Ops> {
    file: Arc<Model>,
    config: ModelConfig,
    embedding: Lazy<O::Matrix>,
    layers: Vec<Lazy<Layer<O>>>,
    pub experts: ExpertStore<O>,
    norm: Lazy<Vec<f32>>,
    head: Lazy<O::Matrix>,
}

struct Checkpoint<'a> {
    model: &'a Model,
    names: &'static Names,
    /// In front of every name.
    prefix: &'static str,
    config: &'a ModelConfig,
}

impl<'a> Checkpoint<'a> {
    fn new(model: &'a Model, config: &'a ModelConfig) -> Self {
        let prefixed = model.tensor_names().any(|name| name.starts_with(LANGUAGE_MODEL));
        let prefix = if prefixed { LANGUAGE_MODEL } else { "" };
        Self { model, names: names::of(model, config), prefix, config }
    }

    fn model_name(&self) -> String {
        model_name(self.model)
    }

    fn name(&self, template: &str, layer: usize) -> String {
        format!("{}{}", self.prefix, template.replace("{}", &layer.to_string()))
    }

    fn has(&self, template: &str, layer: usize) -> Result<bool> {
        Ok(self.model.try_tensor(&self.name(template, layer))?.is_some())
    }

    /// Holds the shape in the file against the config's.
    fn tensor(&self, template: &str, layer: usize, shape: &[usize]) -> Result<Tensor<'a>> {
        let name = self.name(template, layer);
        let tensor = self.model.tensor(&name)?;
        let expected: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        if tensor.shape != expected {
            return Err(Error::Shape {
                model: self.model_name(),
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

    fn network<O: Ops>(&self, ops: &O, names: [&str; 3], l: usize, hidden: usize) -> Result<Network<O>> {
        let mut tensors = Vec::new();
        for (name, shape) in names.iter().zip(gate_up_down(hidden, self.config.dim)) {
            tensors.push(self.tensor(name, l, &shape)?);
        }
        Network::pack(ops, &[&tensors[0], &tensors[1]], &tensors[2])
    }

    fn feed_forward<O: Ops>(&self, ops: &O, l: usize) -> Result<FeedForward<O>> {
        let experts = self.config.llama4.as_ref().map(|llama4| &llama4.experts);
        let Some(experts) = experts.filter(|experts| experts.layers[l]) else {
            return Ok(FeedForward::Dense(self.network(ops, self.names.dense, l, self.config.hidden_dim)?));
        };
        let router =
            self.tensor(self.names.router, l, &[experts.n_experts, self.config.dim])?.dequantise()?;
        Ok(FeedForward::Routed {
            router: Rows::from_vec(router, self.config.dim),
            shared: self.network(ops, self.names.shared, l, experts.hidden_dim)?,
        })
    }

    fn layer<O: Ops>(&self, ops: &O, l: usize) -> Result<Layer<O>> {
        let c = self.config;
        let (q_dim, kv_dim) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        let [q, k, v, o] = self.names.qkvo;
        let qkv = [
            self.tensor(q, l, &[q_dim, c.dim])?,
            self.tensor(k, l, &[kv_dim, c.dim])?,
            self.tensor(v, l, &[kv_dim, c.dim])?,
        ];
        Ok(Layer {
            attention_norm: self.vector(self.names.attention_norm, l, c.dim)?,
            wqkv: ops.matrix(&[&qkv[0], &qkv[1], &qkv[2]])?,
            wo: ops.matrix(&[&self.tensor(o, l, &[c.dim, q_dim])?])?,
            ffn_norm: self.vector(self.names.ffn_norm, l, c.dim)?,
            feed_forward: self.feed_forward(ops, l)?,
        })
    }
}

impl<O: Ops> Weights<O> {
    /// Finds the tensors; routed experts are kept within `expert_bytes`. Errors name the tensor.
    pub fn open(file: &Arc<Model>, config: &ModelConfig, expert_bytes: u64) -> Result<Self> {
        refuse_biases(file)?;
        let experts = ExpertStore::new(file, config, expert_bytes);
        experts.check()?;
        Ok(Self {
            file: file.clone(),
            config: config.clone(),
            embedding: Lazy::default(),
            layers: (0..config.n_layers).map(|_| Lazy::default()).collect(),
            experts,
            norm: Lazy::default(),
            head: Lazy::default(),
        })
    }

    fn checkpoint(&self) -> Checkpoint<'_> {
        Checkpoint::new(&self.file, &self.config)
    }

    fn table(&self, ops: &O, name: &str) -> Result<O::Matrix> {
        let shape = [self.config.vocab, self.config.dim];
        Ok(ops.matrix(&[&self.checkpoint().tensor(name, 0, &shape)?])?)
    }

    /// [vocab, dim]
    pub fn embedding(&self, ops: &O) -> Result<&O::Matrix> {
        self.embedding.get(|| self.table(ops, self.checkpoint().names.embedding))
    }

    pub fn layer(&self, ops: &O, l: usize) -> Result<&Layer<O>> {
        self.layers[l].get(|| self.checkpoint().layer(ops, l))
    }

    /// Of the last norm, [dim].
    pub fn norm(&self) -> Result<&[f32]> {
        let read = || self.checkpoint().vector(self.checkpoint().names.norm, 0, self.config.dim);
        self.norm.get(read).map(Vec::as_slice)
    }

    /// [vocab, dim]; the embedding table where the model ties them.
    pub fn head(&self, ops: &O) -> Result<&O::Matrix> {
        match self.config.tied_embeddings {
            true => self.embedding(ops),
            false => self.head.get(|| self.table(ops, self.checkpoint().names.head)),
        }
    }
}

/// A bias the plan has no place for would be dropped silently.
fn refuse_biases(model: &Model) -> Result<()> {
    let of_text =
        |name: &&str| !name.starts_with("vision_model.") && !name.starts_with("multi_modal_projector.");
    match model.tensor_names().filter(of_text).find(|name| name.ends_with(".bias")) {
        None => Ok(()),
        Some(name) => Err(Error::Unsupported {
            model: model_name(model),
            what: format!("tensor {name}"),
            supported: "matrices without biases",
        }),
    }
}
