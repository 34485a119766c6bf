//! What a model's weights take in the formats that a plan may name.

use crate::problem::Failure;
use clap::ValueEnum;
use scout::{ModelShape, WeightFormat};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What weights are kept in: `int4` is of all weights, `int4_experts` of routed and shared experts, the rest in bf16, as
/// `ibid model convert` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, ToSchema)]
pub enum WeightType {
    #[value(name = "f32")]
    #[serde(rename = "f32")]
    F32,
    #[value(name = "bf16")]
    #[serde(rename = "bf16")]
    Bf16,
    #[value(name = "q8_0")]
    #[serde(rename = "q8_0")]
    Q80,
    #[value(name = "q4_1")]
    #[serde(rename = "q4_1")]
    Q41,
    #[value(name = "q4_0")]
    #[serde(rename = "q4_0")]
    Q40,
    /// All weights in 4 bits, a scale for 128 of them
    #[value(name = "int4")]
    #[serde(rename = "int4")]
    Int4,
    /// Routed and shared experts in int4, the rest in bf16: what ibid model convert writes
    #[value(name = "int4_experts")]
    #[serde(rename = "int4_experts")]
    Int4Experts,
}

/// Bytes of a model's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightBytes {
    /// Of the text model.
    pub all: u64,
    /// Read for each token decoded: an embedding table of its own is not, but for one row.
    pub per_token: u64,
}

impl WeightType {
    /// Errors: 409 for experts in int4 where there are none that `ibid model convert` could write.
    pub fn bytes(self, shape: &ModelShape) -> Result<WeightBytes, Failure> {
        let table = if shape.tied_embeddings { 0 } else { shape.vocab * shape.dim };
        let (all, per_token) = (shape.parameters(), shape.active_parameters() - table);
        let format = match self {
            Self::F32 => WeightFormat::F32,
            Self::Bf16 => WeightFormat::Bf16,
            Self::Q80 => WeightFormat::Q8_0,
            Self::Q41 => WeightFormat::Q4_1,
            Self::Q40 => WeightFormat::Q4_0,
            Self::Int4 => WeightFormat::Int4,
            Self::Int4Experts => {
                let experts = Experts::of(shape)?;
                let feed_forward = shape.feed_forward;
                return Ok(WeightBytes {
                    all: experts.in_int4(all, feed_forward.routed + feed_forward.shared),
                    per_token: experts.in_int4(per_token, feed_forward.active + feed_forward.shared),
                });
            }
        };
        Ok(WeightBytes { all: shape.weight_bytes(format), per_token: format.bytes(per_token) })
    }
}

/// One expert in each layer that has some.
struct Experts {
    weights: u64,
    int4_bytes: u64,
}

impl Experts {
    fn of(shape: &ModelShape) -> Result<Self, Failure> {
        let (dim, hidden) = (shape.dim, shape.feed_forward.hidden);
        let layers = shape.n_layers.saturating_sub(shape.feed_forward.dense_layers);
        let refused = |why: &str| {
            let detail = format!("{} {why}; choose other weights than int4_experts", shape.name);
            Failure::new(409, "bad_weights", detail)
        };
        if shape.feed_forward.routed == 0 || layers == 0 {
            return Err(refused("has no experts"));
        }
        let matrix = |n_out, n_in| {
            weights::int4_bytes(n_out, n_in).ok_or_else(|| refused("has experts that fill no groups of 32"))
        };
        let one = 2 * matrix(hidden, dim)? + matrix(dim, hidden)?;
        Ok(Self { weights: layers * 3 * dim * hidden, int4_bytes: layers * one })
    }

    /// Bytes of `weights`, of which so many experts of each layer are in int4.
    fn in_int4(&self, weights: u64, experts: u64) -> u64 {
        WeightFormat::Bf16.bytes(weights - experts * self.weights) + experts * self.int4_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scout::ModelConfig;

    #[test]
    fn experts_in_int4_take_what_convert_writes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recall");
        let model = weights::Model::open(&folder).unwrap();
        let shape = ModelShape::from(&ModelConfig::read(&model).unwrap());
        let written = weights::Conversion::plan(&model).unwrap().bytes_written();
        assert_eq!(WeightType::Int4Experts.bytes(&shape).unwrap().all, written);
    }

    /// The figures that are published for Scout, GiB.
    #[test]
    fn scout_takes_58_8_gib_with_experts_in_int4_and_51_8_with_all_weights() {
        let shape = ModelShape::llama_4_scout();
        let gib = |bytes: u64| (bytes as f64 / f64::from(1 << 30) * 10.0).round() / 10.0;
        let taken = |weights: WeightType| {
            let bytes = weights.bytes(&shape).unwrap();
            (gib(bytes.all), gib(bytes.per_token))
        };
        assert_eq!(taken(WeightType::Bf16), (200.7, 30.1));
        assert_eq!(taken(WeightType::Int4), (51.8, 7.7));
        assert_eq!(taken(WeightType::Int4Experts), (58.8, 13.4));
    }

    #[test]
    fn a_model_without_experts_has_none_in_int4() {
        let refused = WeightType::Int4Experts.bytes(&ModelShape::smollm2_135m()).unwrap_err();
        assert_eq!(refused.code, "bad_weights");
        assert!(refused.detail.contains("SmolLM2-135M has no experts"), "{}", refused.detail);
    }
}
