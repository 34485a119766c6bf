//! `ibid model …`: what can be typed.

use crate::commands::model::{
    plan::{KvType, ModelPreset},
    planned_weights::WeightType,
};
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Fetch the default model, or take one from elsewhere
    Fetch(Fetch),
    /// Write a Llama 4 checkpoint again with its experts in int4, about a quarter of the size
    Convert(Convert),
    /// Show what a model file holds
    Inspect(Inspect),
    /// Write the logits of given tokens to a safetensors file
    Logits(Logits),
    /// Reckon what reading so many tokens takes: disk, memory, time
    Plan(ModelPlan),
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid model fetch\n  ibid model fetch --from ~/models/other.gguf\n  ibid model fetch --repo HuggingFaceTB/SmolLM2-360M-Instruct\n  ibid model fetch --repo OWNER/NAME-GGUF --file NAME.Q8_0.gguf\n\nHF_ENDPOINT names another server than https://huggingface.co, HF_TOKEN a token for models that need one."
)]
pub struct Fetch {
    /// Copy a model file from this path instead
    #[arg(long, value_name = "PATH", conflicts_with = "repo")]
    pub from: Option<PathBuf>,
    /// Fetch a repository of the Hugging Face Hub instead: its safetensors, config and tokenizer
    #[arg(long, value_name = "OWNER/NAME[@REVISION]")]
    pub repo: Option<String>,
    /// Only this GGUF file of the repository
    #[arg(long, value_name = "NAME.gguf", requires = "repo")]
    pub file: Option<String>,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Example:\n  ibid model convert Llama-4-Scout-17B-16E-Instruct Scout-int4\n\nRouted and shared experts become int4 in groups of 128 columns, everything else stays as it is. Memory holds one matrix at a time."
)]
pub struct Convert {
    /// Folder with config.json and safetensors in bf16, f16 or f32
    #[arg(value_name = "SOURCE_FOLDER")]
    pub source: PathBuf,
    /// Folder for the result; made where there is none
    #[arg(value_name = "TARGET_FOLDER")]
    pub target: PathBuf,
    /// Replace the model in a target that is not empty
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid model inspect\n  ibid model inspect SmolLM2-135M-Instruct.Q4_1.gguf --tensors\n  ibid model inspect ./Scout-int4"
)]
pub struct Inspect {
    /// The model; the same as --model
    #[arg(value_name = "PATH|NAME", conflicts_with = "model")]
    #[serde(default)]
    pub which: Option<String>,
    /// Also list every tensor
    #[arg(long)]
    pub tensors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    /// f32 throughout, slow
    Reference,
    /// int8 activations
    Fast,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Example:\n  ibid model logits --model m.gguf --tokens ids.json --output logits.safetensors"
)]
pub struct Logits {
    /// JSON array of token ids
    #[arg(long, value_name = "IDS.json")]
    pub tokens: PathBuf,
    /// Receives tensor `logits`, f32 [n_tokens, vocab]
    #[arg(long, value_name = "OUT.safetensors")]
    pub output: PathBuf,
    #[arg(long, value_enum, default_value_t = Numerics::Fast)]
    pub numerics: Numerics,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid model plan 1000000\n  ibid model plan 10000000 --of llama-4-scout --weights int4_experts --kv int8"
)]
pub struct ModelPlan {
    /// Tokens of the documents; English has about one for every 4.5 characters
    pub tokens: Option<u64>,
    /// The same
    #[arg(long, value_name = "TOKENS", conflicts_with = "tokens")]
    #[serde(default)]
    pub context: Option<u64>,
    /// The model to plan with; open: the one in use
    #[arg(long = "of", value_enum, value_name = "MODEL", default_value = "open")]
    pub model_shape: ModelPreset,
    /// What its weights are kept in
    #[arg(long, value_enum, value_name = "TYPE", default_value = "q4_1")]
    pub weights: WeightType,
    /// What its KV is kept in
    #[arg(long, value_enum, value_name = "TYPE", default_value = "int8")]
    pub kv: KvType,
}
