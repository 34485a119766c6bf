//! `ibid model plan`: what reading so many tokens with a model takes, before anything is fetched or read. The page and
//! `POST /v1/models/plan` show the same object.

use super::planned_weights::{WeightBytes, WeightType};
use crate::{
    cli::ModelPlan, data_folder::DataFolder, event::Out, owner::Exit, problem::Failure, rest,
    settings::Settings,
};
use anyhow::Result;
use clap::ValueEnum;
use ingest::{MAX_NATIVE_PART_TOKENS, MAX_PART_TOKENS, MAX_UNWRITTEN_BYTES};
use scout::{KvFormat, ModelConfig, ModelShape};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// More than anybody reads; keeps every sum exact.
const MOST_TOKENS: u64 = 1_000_000_000_000;
/// Effective operations a second of one core, where nothing was measured: what a core with AVX-512 VNNI reached while a
/// million tokens were read (BENCHMARKS.md: 958 tokens/s on two cores at 0.248 GFLOP).
const OPS_PER_CORE: f64 = 119e9;
/// Canonical text of one token.
const TEXT_BYTES_PER_TOKEN: f64 = 4.5;

/// A model whose shape is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, ToSchema)]
pub enum ModelPreset {
    #[value(name = "smollm2-135m")]
    #[serde(rename = "smollm2-135m")]
    Smollm2135m,
    #[value(name = "llama-3.2-1b")]
    #[serde(rename = "llama-3.2-1b")]
    Llama321b,
    #[value(name = "llama-3.1-8b")]
    #[serde(rename = "llama-3.1-8b")]
    Llama318b,
    #[value(name = "llama-4-scout")]
    #[serde(rename = "llama-4-scout")]
    Llama4Scout,
    /// The model in use
    #[value(name = "open")]
    #[serde(rename = "open")]
    Open,
}

impl ModelPreset {
    /// `None` for the model in use.
    pub fn shape(self) -> Option<ModelShape> {
        match self {
            Self::Smollm2135m => Some(ModelShape::smollm2_135m()),
            Self::Llama321b => Some(ModelShape::llama_3_2_1b()),
            Self::Llama318b => Some(ModelShape::llama_3_1_8b()),
            Self::Llama4Scout => Some(ModelShape::llama_4_scout()),
            Self::Open => None,
        }
    }
}

/// What KV is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KvType {
    F32,
    Bf16,
    Int8,
    K6v4,
}

impl From<KvType> for KvFormat {
    fn from(kv: KvType) -> Self {
        match kv {
            KvType::F32 => Self::F32,
            KvType::Bf16 => Self::Bf16,
            KvType::Int8 => Self::Int8,
            KvType::K6v4 => Self::K6V4,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Tokens of the documents.
    #[serde(deserialize_with = "rest::whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub tokens: u64,
    pub model: PlanModel,
    pub weights: WeightType,
    pub kv_dtype: KvType,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanModel {
    pub preset: ModelPreset,
}

/// What it takes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plan {
    /// `plan`
    pub object: &'static str,
    pub tokens: u64,
    pub model: PlannedModel,
    pub weights: WeightType,
    pub kv_dtype: KvType,
    pub disk_bytes: PlannedDisk,
    pub ram_bytes: PlannedMemory,
    pub kv_bytes_per_token: u64,
    pub prefill: PlannedPrefill,
    /// How it was reckoned, and what stands against it.
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedModel {
    pub preset: ModelPreset,
    pub name: String,
    pub parameters: u64,
    /// Those that one token passes.
    pub active_parameters: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedDisk {
    pub weights: u64,
    pub kv: u64,
    /// An estimate.
    pub text: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedMemory {
    pub weights: u64,
    /// KV pages read from disk.
    pub cache: u64,
    /// Activations, logits and the rows at work.
    pub working: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedPrefill {
    pub tokens_per_s: f64,
    pub minutes: f64,
    pub basis: Basis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    Measured,
    Estimated,
}

/// What it would run on.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    pub ram_bytes: Option<u64>,
    pub cores: usize,
    /// Bytes for KV pages read from disk.
    pub cache_bytes: u64,
    /// Tokens a second that the model in use has reached while reading.
    pub measured: Option<f64>,
}

impl Machine {
    pub fn here(settings: &Settings) -> Self {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            ram_bytes: total_memory(&meminfo),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cache_bytes: settings.kv_cache_mib.saturating_mul(1 << 20),
            measured: None,
        }
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

impl Plan {
    /// `shape`: of the preset, or of the model in use.
    ///
    /// Errors: 422 for a number of tokens that nobody reads, 409 for weights that this model cannot have.
    pub fn new(request: &PlanRequest, shape: &ModelShape, machine: &Machine) -> Result<Self, Failure> {
        let PlanRequest { tokens, model, weights, kv_dtype } = *request;
        if !(1..=MOST_TOKENS).contains(&tokens) {
            let detail = format!("{tokens} tokens cannot be planned; give 1 to {MOST_TOKENS}");
            return Err(Failure::new(422, "bad_tokens", detail));
        }
        let weight_bytes = weights.bytes(shape)?;
        let kv_bytes_per_token = shape.kv_bytes_per_token(kv_dtype.into());
        let kv = tokens.saturating_mul(kv_bytes_per_token);
        let ram_bytes = PlannedMemory {
            weights: weight_bytes.all,
            cache: machine.cache_bytes.min(kv),
            working: working_bytes(shape, tokens, kv_dtype.into()),
        };
        let prefill = prefill(request, shape, machine);
        Ok(Self {
            object: "plan",
            tokens,
            model: PlannedModel {
                preset: model.preset,
                name: shape.name.clone(),
                parameters: shape.parameters(),
                active_parameters: shape.active_parameters(),
            },
            weights,
            kv_dtype,
            disk_bytes: PlannedDisk {
                weights: weight_bytes.all,
                kv,
                text: (tokens as f64 * TEXT_BYTES_PER_TOKEN) as u64,
            },
            notes: notes(request, shape, machine, (weight_bytes, &ram_bytes), &prefill),
            ram_bytes,
            kv_bytes_per_token,
            prefill,
        })
    }
}

/// Tokens that are read in one go, isolated from all others.
fn part_tokens(shape: &ModelShape) -> u64 {
    if shape.chunked.is_some() { MAX_NATIVE_PART_TOKENS } else { MAX_PART_TOKENS }
}

/// Memory beside weights and cached pages: what reading a part takes, and the segment before it while it is written.
fn working_bytes(shape: &ModelShape, tokens: u64, kv: KvFormat) -> u64 {
    let part = part_tokens(shape).min(tokens);
    let others = (tokens - part).saturating_mul(shape.kv_bytes_per_token(kv));
    shape.working_bytes(part, kv) + others.min(MAX_UNWRITTEN_BYTES)
}

fn prefill(request: &PlanRequest, shape: &ModelShape, machine: &Machine) -> PlannedPrefill {
    let measured = machine.measured.filter(|rate| request.model.preset == ModelPreset::Open && *rate > 0.0);
    let (tokens_per_s, basis) = match measured {
        Some(rate) => (rate, Basis::Measured),
        None => {
            let ops = OPS_PER_CORE * machine.cores.max(1) as f64;
            (ops / shape.flops_per_token(part_tokens(shape).min(request.tokens)).max(1.0), Basis::Estimated)
        }
    };
    PlannedPrefill { tokens_per_s, minutes: request.tokens as f64 / tokens_per_s / 60.0, basis }
}

fn notes(
    request: &PlanRequest,
    shape: &ModelShape,
    machine: &Machine,
    (weight_bytes, ram): (WeightBytes, &PlannedMemory),
    prefill: &PlannedPrefill,
) -> Vec<String> {
    let mut notes = vec![match prefill.basis {
        Basis::Measured => "Prefill: the rate this machine reached with this model.".to_owned(),
        Basis::Estimated => {
            let part = part_tokens(shape).min(request.tokens);
            format!(
                "Prefill: {:.3} GFLOP per token (2 per parameter it passes in the layers, and attention over a part of \
                 {part} tokens) at {:.0} GOP/s: {} cores at {:.0} GOP/s each, which one with AVX-512 VNNI reached with the \
                 default model.",
                shape.flops_per_token(part) / 1e9,
                OPS_PER_CORE * machine.cores.max(1) as f64 / 1e9,
                machine.cores.max(1),
                OPS_PER_CORE / 1e9
            )
        }
    }];
    notes.push(format!("Text: {TEXT_BYTES_PER_TOKEN} bytes per token, as in English prose."));
    if let Some(total) = machine.ram_bytes {
        let needed = ram.weights.saturating_add(ram.cache).saturating_add(ram.working);
        let (what, bytes) = if ram.weights > total {
            ("The weights alone take", ram.weights)
        } else {
            ("Together they take", needed)
        };
        if bytes > total {
            notes.push(format!(
                "Memory: this machine has {}. {what} {}; choose smaller weights or a smaller model.",
                rest::bytes(total),
                rest::bytes(bytes)
            ));
        }
    }
    if let Some(chunk) = shape.chunked {
        if request.tokens > chunk.window {
            notes.push(format!(
                "Too many for one question: the model sees at most {} tokens at once. Ask about a part of the documents, or \
                 spread them over several corpora.",
                chunk.window
            ));
        }
        notes.extend(whole_context(request, shape, machine, weight_bytes));
        notes.push(format!(
            "KV: {} of {} layers see everything and are kept; the others see chunks of {} tokens, whose rows are memory at work.",
            shape.full_layers(),
            shape.n_layers,
            chunk.tokens
        ));
    }
    notes.extend(of_weights(request.weights, shape));
    if request.kv_dtype == KvType::F32 {
        notes.push("KV in f32 is kept with numerics = reference alone.".to_owned());
    }
    notes
}

/// How the weights stand to what `ibid model convert` writes, and what of the model is left out.
fn of_weights(weights: WeightType, shape: &ModelShape) -> Vec<String> {
    let converted = WeightType::Int4Experts.bytes(shape);
    let mut notes = Vec::new();
    if let (WeightType::Int4, Ok(converted)) = (weights, converted) {
        notes.push(format!(
            "Weights: int4 is of all of them. ibid model convert writes the experts in int4 and keeps the rest in bf16: {}, \
             planned with the weights int4_experts.",
            rest::bytes(converted.all)
        ));
    }
    if shape.vision_parameters > 0 {
        let copied = match weights {
            WeightType::Int4Experts => {
                format!(" ibid model convert copies it: {} more.", rest::bytes(2 * shape.vision_parameters))
            }
            _ => String::new(),
        };
        notes.push(format!(
            "The image encoder ({} parameters) is not counted: reading text does not need it.{copied}",
            shape.vision_parameters
        ));
    }
    notes
}

/// Bytes a second that two cores read from memory (BENCHMARKS.md names the machine).
const MEMORY_BYTES_PER_S: f64 = 28e9;
/// Of a disk that the corpus does not fit beside.
const DISK_BYTES_PER_S: f64 = 1e9;
/// Usable memory of accelerators, GiB.
const ACCELERATORS: [(&str, f64); 2] = [("one H100 with 80 GB", 78.0), ("one H200 with 141 GB", 139.0)];

/// What a question costs that sees all tokens, what one exact prefill of them would, and which hardware holds it all.
fn whole_context(
    request: &PlanRequest,
    shape: &ModelShape,
    machine: &Machine,
    weight_bytes: WeightBytes,
) -> Vec<String> {
    let ops = OPS_PER_CORE * machine.cores.max(1) as f64;
    let exact = shape.flops_per_token(request.tokens) * request.tokens as f64;
    let isolated = shape.flops_per_token(part_tokens(shape).min(request.tokens)) * request.tokens as f64;
    let WeightBytes { all: weights, per_token: active } = weight_bytes;
    let kv = request.tokens.saturating_mul(shape.kv_bytes_per_token(request.kv_dtype.into()));
    let working = working_bytes(shape, request.tokens, request.kv_dtype.into());
    let all = weights.saturating_add(kv).saturating_add(working);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let holds = |(name, usable): (&str, f64)| {
        format!("{name} {}", if gib(all) <= usable { "holds it" } else { "does not hold it" })
    };
    vec![
        format!(
            "Exact prefill, every token seeing all before it: {:.2} PFLOP, {}; documents read one by one: {:.2} PFLOP.",
            exact / 1e15,
            duration(exact / ops / 60.0),
            isolated / 1e15
        ),
        format!(
            "Decode over all of it reads {} of weights and {} of KV for each token: {:.1} s from memory, {:.1} s with the \
             KV on a disk of 1 GB/s.",
            rest::bytes(active),
            rest::bytes(kv),
            (active as f64 + kv as f64) / MEMORY_BYTES_PER_S,
            active as f64 / MEMORY_BYTES_PER_S + kv as f64 / DISK_BYTES_PER_S,
        ),
        format!(
            "Weights, KV and working memory together take {}: {}.",
            rest::bytes(all),
            ACCELERATORS.map(holds).join(", ")
        ),
    ]
}

pub fn run(data: &DataFolder, settings: &Settings, args: &ModelPlan, out: &Out) -> Result<Exit> {
    let Some(tokens) = args.context.or(args.tokens) else {
        return Err(Failure::new(400, "bad_tokens", "how many tokens? Give them, or --context N").into());
    };
    // The name of a preset may stand for a model too.
    let preset = match settings.model.as_str() {
        "scout" => ModelPreset::Llama4Scout,
        _ => args.model_shape,
    };
    let shape = match preset.shape() {
        Some(shape) => shape,
        None => {
            let model = weights::Model::open(&super::resolve(data, settings)?)?;
            ModelShape::from(&ModelConfig::read(&model)?)
        }
    };
    let request =
        PlanRequest { tokens, model: PlanModel { preset }, weights: args.weights, kv_dtype: args.kv };
    let plan = Plan::new(&request, &shape, &Machine::here(settings))?;
    out.text(table(&plan));
    out.object(plan);
    Ok(Exit::Done)
}

fn table(plan: &Plan) -> String {
    let PlannedDisk { weights, kv, text } = plan.disk_bytes;
    let ram = &plan.ram_bytes;
    let basis = match plan.prefill.basis {
        Basis::Measured => "measured",
        Basis::Estimated => "estimated",
    };
    let mut lines = format!(
        "{} tokens with {} ({} parameters, {} for one token)\n\
         disk    weights {}, KV {} ({} per token), text {}\n\
         memory  weights {}, KV cache {}, working {}\n\
         reading {} at {:.0} tokens/s ({basis})\n",
        plan.tokens,
        plan.model.name,
        plan.model.parameters,
        plan.model.active_parameters,
        rest::bytes(weights),
        rest::bytes(kv),
        rest::bytes(plan.kv_bytes_per_token),
        rest::bytes(text),
        rest::bytes(ram.weights),
        rest::bytes(ram.cache),
        rest::bytes(ram.working),
        duration(plan.prefill.minutes),
        plan.prefill.tokens_per_s,
    );
    for note in &plan.notes {
        lines.push_str(&format!("{note}\n"));
    }
    lines
}

fn duration(minutes: f64) -> String {
    match minutes {
        ..120.0 => format!("{minutes:.1} minutes"),
        ..2_880.0 => format!("{:.1} hours", minutes / 60.0),
        _ => format!("{:.1} days", minutes / 1_440.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(preset: ModelPreset, tokens: u64, measured: Option<f64>) -> Result<Plan, Failure> {
        let request = PlanRequest {
            tokens,
            model: PlanModel { preset },
            weights: WeightType::Int4,
            kv_dtype: KvType::Int8,
        };
        let shape = preset.shape().unwrap_or_else(ModelShape::smollm2_135m);
        let machine = Machine { ram_bytes: Some(24 << 30), cores: 2, cache_bytes: 256 << 20, measured };
        Plan::new(&request, &shape, &machine)
    }

    #[test]
    fn scout_over_ten_million_tokens_is_told_as_it_is() {
        let plan = plan(ModelPreset::Llama4Scout, 10_000_000, Some(500.0)).unwrap();
        assert_eq!(plan.kv_bytes_per_token, 12 * 8 * (128 + 4 + 128 + 4));
        assert_eq!(plan.disk_bytes.kv, 10_000_000 * plan.kv_bytes_per_token);
        assert_eq!(
            plan.prefill.basis,
            Basis::Estimated,
            "what another model reached says nothing of this one"
        );
        assert!(plan.notes.iter().any(|note| note.starts_with("Memory: this machine has 24.0 GiB")));
        assert!(table(&plan).contains(" days at "), "{}", table(&plan));
    }

    #[test]
    fn more_than_scout_sees_at_once_is_said_to_be_too_many() {
        let too_many = |tokens| {
            let plan = plan(ModelPreset::Llama4Scout, tokens, None).unwrap();
            plan.notes.iter().any(|note| note.contains("at most 10485760 tokens"))
        };
        assert_eq!([10_485_760, 10_485_761].map(too_many), [false, true]);
    }

    #[test]
    fn a_measured_rate_takes_the_place_of_the_estimate_for_the_model_in_use() {
        let plan = plan(ModelPreset::Open, 60_000, Some(500.0)).unwrap();
        assert_eq!((plan.prefill.basis, plan.prefill.minutes), (Basis::Measured, 2.0));
        assert!(table(&plan).contains("2.0 minutes at 500 tokens/s (measured)"));
    }

    #[test]
    fn nobody_reads_nothing() {
        for tokens in [0, MOST_TOKENS + 1] {
            assert_eq!(plan(ModelPreset::Open, tokens, None).unwrap_err().code, "bad_tokens");
        }
    }
}
