//! Footprint: what a model's weights, its stored state and the reading of documents take, computed from its shape
//! alone, so that it can be known before anything is fetched. Every size here is a formula; nothing is looked up.

use crate::{
    config::{Llama4, ModelConfig},
    prefill::TILE,
};

/// Bytes per so many values, scales included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    F32,
    Bf16,
    /// GGUF blocks of 32 values.
    Q8_0,
    Q4_1,
    Q4_0,
    /// Groups of 128 values with a 16-bit scale.
    Int4,
}

impl WeightFormat {
    /// Bytes, values.
    const fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (4, 1),
            Self::Bf16 => (2, 1),
            Self::Q8_0 => (34, 32),
            Self::Q4_1 => (20, 32),
            Self::Q4_0 => (18, 32),
            Self::Int4 => (66, 128),
        }
    }

    pub fn bytes(self, values: u64) -> u64 {
        let (bytes, per) = self.block();
        let total = (u128::from(values) * u128::from(bytes)).div_ceil(u128::from(per));
        u64::try_from(total).unwrap_or(u64::MAX)
    }
}

/// What a KV row is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvFormat {
    F32,
    Bf16,
    /// One byte per value, f32 scales.
    Int8,
    /// 6 bits of a key and 4 of a value, an f32 scale for each head of both.
    K6V4,
}

/// What follows attention in a layer: a token passes `active` of the `routed` experts, and all of the `shared`. The one
/// network of a dense layer is shared by all tokens. `dense_layers` have no experts, but one network of `dense_hidden`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedForward {
    pub hidden: u64,
    pub routed: u64,
    pub active: u64,
    pub shared: u64,
    pub dense_layers: u64,
    pub dense_hidden: u64,
}

/// Attention that ends with its chunk in all but every so many layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunked {
    /// Length of a chunk.
    pub tokens: u64,
    /// Layers that see everything nevertheless.
    pub full_layers: u64,
    /// Tokens that can be seen at once.
    pub window: u64,
}

/// Counts that all sizes follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelShape {
    pub name: String,
    pub n_layers: u64,
    pub dim: u64,
    pub n_heads: u64,
    pub n_kv_heads: u64,
    pub head_dim: u64,
    pub vocab: u64,
    pub tied_embeddings: bool,
    pub feed_forward: FeedForward,
    pub chunked: Option<Chunked>,
    /// Dimensions of an int8 key that share a scale.
    pub key_group: u64,
    /// Of an image encoder, which reading text does not need.
    pub vision_parameters: u64,
}

impl From<&ModelConfig> for ModelShape {
    fn from(config: &ModelConfig) -> Self {
        let shape = Self {
            name: config.name.clone(),
            tied_embeddings: config.tied_embeddings,
            ..dense(
                [config.n_layers, config.dim, config.hidden_dim],
                [config.n_heads, config.n_kv_heads, config.head_dim],
                config.vocab,
            )
        };
        let Some(Llama4 { chunk, chunked, experts, .. }) = &config.llama4 else { return shape };
        let count = |layers: &[bool], of: bool| layers.iter().filter(|layer| **layer == of).count() as u64;
        Self {
            feed_forward: FeedForward {
                hidden: experts.hidden_dim as u64,
                routed: experts.n_experts as u64,
                active: experts.active as u64,
                shared: 1,
                dense_layers: count(&experts.layers, false),
                dense_hidden: config.hidden_dim as u64,
            },
            chunked: chunk.map(|tokens| Chunked {
                tokens,
                full_layers: count(chunked, false),
                window: config.window,
            }),
            ..shape
        }
    }
}

/// A model of the llama family with its output matrix in the embedding table.
fn dense(
    [n_layers, dim, hidden]: [usize; 3],
    [n_heads, n_kv_heads, head_dim]: [usize; 3],
    vocab: usize,
) -> ModelShape {
    ModelShape {
        name: String::new(),
        n_layers: n_layers as u64,
        dim: dim as u64,
        n_heads: n_heads as u64,
        n_kv_heads: n_kv_heads as u64,
        head_dim: head_dim as u64,
        vocab: vocab as u64,
        tied_embeddings: true,
        feed_forward: FeedForward {
            hidden: hidden as u64,
            routed: 0,
            active: 0,
            shared: 1,
            dense_layers: 0,
            dense_hidden: 0,
        },
        chunked: None,
        key_group: kv::KEY_GROUP as u64,
        vision_parameters: 0,
    }
}

impl ModelShape {
    pub fn smollm2_135m() -> Self {
        Self { name: "SmolLM2-135M".into(), ..dense([30, 576, 1_536], [9, 3, 64], 49_152) }
    }

    pub fn llama_3_2_1b() -> Self {
        Self { name: "Llama-3.2-1B".into(), ..dense([16, 2_048, 8_192], [32, 8, 64], 128_256) }
    }

    pub fn llama_3_1_8b() -> Self {
        Self {
            name: "Llama-3.1-8B".into(),
            tied_embeddings: false,
            ..dense([32, 4_096, 14_336], [32, 8, 128], 128_256)
        }
    }

    /// Llama 4 Scout: 36 of 48 layers see only their chunk of 8,192 tokens, whose keys are not kept for a corpus.
    pub fn llama_4_scout() -> Self {
        let shape = dense([48, 5_120, 8_192], [40, 8, 128], 202_048);
        Self {
            name: "Llama-4-Scout".into(),
            tied_embeddings: false,
            feed_forward: FeedForward { routed: 16, active: 1, ..shape.feed_forward },
            chunked: Some(Chunked { tokens: 8_192, full_layers: 12, window: 10_485_760 }),
            // One scale per key and head, as design.md counts.
            key_group: shape.head_dim,
            vision_parameters: 871_932_416,
            ..shape
        }
    }

    /// Parameters of the text model.
    pub fn parameters(&self) -> u64 {
        let FeedForward { routed, shared, .. } = self.feed_forward;
        self.embeddings() + self.in_layers(routed + shared) + self.norms()
    }

    /// Those that one token passes, the embedding table included.
    pub fn active_parameters(&self) -> u64 {
        self.embeddings() + self.active_in_layers() + self.norms()
    }

    pub fn weight_bytes(&self, format: WeightFormat) -> u64 {
        format.bytes(self.parameters())
    }

    /// What a corpus keeps for each token: the rows of the layers that see everything.
    pub fn kv_bytes_per_token(&self, format: KvFormat) -> u64 {
        self.full_layers() * self.row_bytes(format)
    }

    /// Floating-point operations to read one token of a part of this many: two per parameter that it passes in the
    /// layers, and scores and sums over half the part on average. No logits are computed while reading.
    pub fn flops_per_token(&self, part_tokens: u64) -> f64 {
        let per_key = 2.0 * (self.n_heads * self.head_dim) as f64;
        let seen = match self.chunked {
            None => self.n_layers * part_tokens,
            Some(Chunked { tokens, .. }) => {
                let full = self.full_layers();
                full * part_tokens + (self.n_layers - full) * part_tokens.min(tokens)
            }
        };
        2.0 * self.active_in_layers() as f64 + per_key * seen as f64
    }

    /// Memory beside weights and cached pages: activations of a tile of a part in f32, the logits of a token, and the rows
    /// that are at work: those of the part, and of a whole chunk in the layers that see no further.
    pub fn working_bytes(&self, part_tokens: u64, format: KvFormat) -> u64 {
        let FeedForward { hidden, active, shared, .. } = self.feed_forward;
        let per_token = 3 * self.dim
            + (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
            + 2 * hidden * (active + shared);
        let local = self.chunked.map_or(0, |chunk| (self.n_layers - self.full_layers()) * chunk.tokens);
        let rows = self.full_layers() * part_tokens + local;
        4 * (part_tokens.min(TILE as u64) * per_token + self.vocab) + rows * self.row_bytes(format)
    }

    /// Layers that see everything.
    pub fn full_layers(&self) -> u64 {
        self.chunked.map_or(self.n_layers, |chunk| chunk.full_layers.min(self.n_layers))
    }

    fn embeddings(&self) -> u64 {
        self.vocab * self.dim * if self.tied_embeddings { 1 } else { 2 }
    }

    fn norms(&self) -> u64 {
        self.dim * (2 * self.n_layers + 1)
    }

    fn active_in_layers(&self) -> u64 {
        self.in_layers(self.feed_forward.active + self.feed_forward.shared)
    }

    /// Matrices of all layers with so many experts in each.
    fn in_layers(&self, experts: u64) -> u64 {
        let attention = 2 * self.dim * self.head_dim * (self.n_heads + self.n_kv_heads);
        let FeedForward { hidden, routed, dense_layers, dense_hidden, .. } = self.feed_forward;
        let with_experts = self.n_layers.saturating_sub(dense_layers);
        let experts = with_experts * self.dim * (routed + 3 * experts * hidden);
        self.n_layers * attention + experts + dense_layers * 3 * self.dim * dense_hidden
    }

    /// One token's keys and values in one layer.
    fn row_bytes(&self, format: KvFormat) -> u64 {
        let d = self.head_dim;
        let (key, value) = match format {
            KvFormat::F32 => (4 * d, 4 * d),
            KvFormat::Bf16 => (2 * d, 2 * d),
            KvFormat::Int8 => (d + 4 * d.div_ceil(self.key_group.max(1)), d + 4),
            KvFormat::K6V4 => (3 * d.div_ceil(4) + 4, d.div_ceil(2) + 4),
        };
        self.n_kv_heads * (key + value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: u64, expected: f64) {
        assert!((got as f64 / expected - 1.0).abs() < 0.01, "{got} is not within 1 % of {expected}");
    }

    #[test]
    fn parameters_follow_from_the_shape() {
        assert_eq!(ModelShape::smollm2_135m().parameters(), 134_515_008);
        assert_eq!(ModelShape::llama_3_2_1b().parameters(), 1_235_814_400);
        assert_eq!(ModelShape::llama_3_1_8b().parameters(), 8_030_261_248);
        let scout = ModelShape::llama_4_scout();
        assert_eq!(scout.parameters(), 107_769_861_120);
        near(scout.parameters() + scout.vision_parameters, 108.6e9);
        near(scout.active_parameters(), 17.2e9);
    }

    #[test]
    fn scout_keeps_the_rows_of_its_twelve_global_layers() {
        let scout = ModelShape::llama_4_scout();
        let kib = |format| scout.kv_bytes_per_token(format) as f64 / 1024.0;
        assert_eq!(scout.full_layers(), 12);
        assert_eq!([kib(KvFormat::Bf16), kib(KvFormat::Int8), kib(KvFormat::K6V4)], [48.0, 24.75, 15.75]);
    }

    /// The model of `models/recall`, read from its config: half its layers have experts, two of eight are kept.
    #[test]
    fn a_llama4_config_has_the_shape_it_says() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recall");
        let model = weights::Model::open(&folder).unwrap();
        let shape = ModelShape::from(&ModelConfig::read(&model).unwrap());
        let stored: u64 = model.tensor_names().map(|name| model.tensor(name).unwrap().len()).sum();
        assert_eq!(shape.parameters(), stored);
        assert_eq!((shape.full_layers(), shape.feed_forward.dense_layers), (2, 4));
    }

    #[test]
    fn a_llama_token_takes_what_its_pages_take() {
        let shape = ModelShape::smollm2_135m();
        let page = kv::PageShape { n_kv_heads: 3, head_dim: 64 };
        for (format, dtype) in [
            (KvFormat::F32, kv::Dtype::F32),
            (KvFormat::Bf16, kv::Dtype::Bf16),
            (KvFormat::Int8, kv::Dtype::Int8),
            (KvFormat::K6V4, kv::Dtype::K6V4),
        ] {
            let stored = 30 * page.page_bytes(dtype) / kv::PAGE_TOKENS;
            assert_eq!(shape.kv_bytes_per_token(format), stored as u64, "{format:?}");
        }
    }

    #[test]
    fn weights_are_counted_with_their_scales() {
        let shape = ModelShape::llama_4_scout();
        near(shape.weight_bytes(WeightFormat::Int4), 51.8 * f64::from(1 << 30));
        assert_eq!(WeightFormat::Q8_0.bytes(32), 34);
        assert_eq!((WeightFormat::Q4_1.bytes(64), WeightFormat::Q4_0.bytes(33)), (40, 19));
        assert_eq!(WeightFormat::F32.bytes(u64::MAX), u64::MAX);
    }

    #[test]
    fn reading_costs_what_the_design_says() {
        let shape = ModelShape::smollm2_135m();
        near(shape.flops_per_token(0) as u64, 212.3e6);
        near((shape.flops_per_token(4_096) - shape.flops_per_token(0)) as u64, 141.6e6);
        let scout = ModelShape::llama_4_scout();
        // Beyond a chunk only the global layers see more.
        let further = scout.flops_per_token(8_193) - scout.flops_per_token(8_192);
        assert_eq!(further, 12.0 * 2.0 * 5_120.0);
    }
}
