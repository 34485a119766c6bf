//! What `ibid bench` can be asked to measure.

use crate::settings::KvDtype;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bench {
    /// Reading a part
    #[command(after_help = "Examples:\n  ibid bench prefill\n  ibid bench prefill --tokens 512 --stages")]
    Prefill(BenchEngine),
    /// Writing an answer behind a part
    #[command(
        after_help = "Examples:\n  ibid bench decode\n  ibid bench decode --tokens 512,4096 --repeat 5\n  ibid bench decode --stages"
    )]
    Decode(BenchEngine),
    /// From a question to the first token of its answer, by a newly opened engine on a warm disk
    Ttft(BenchTtft),
    /// Reading documents into a corpus, stage by stage
    Ingest(BenchIngest),
    /// Getting stored KV pages back from disk
    Restore(BenchRestore),
    /// What the fast arithmetic and each KV type cost in predicting real text, against the f32 reference
    Perplexity(BenchPerplexity),
    /// What this machine could do at best: int8 and f32 arithmetic, reading from its last cache and from memory
    #[command(after_help = "Examples:\n  ibid bench peak\n  ibid bench peak --json")]
    Peak,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct BenchEngine {
    /// Tokens in front
    #[arg(long, value_delimiter = ',', default_values_t = [512, 4096])]
    pub tokens: Vec<usize>,
    #[arg(long, default_value_t = 3)]
    pub repeat: usize,
    /// Tell what each stage of the forward pass takes, by an engine with a clock
    #[arg(long)]
    pub stages: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid bench ttft\n  ibid bench ttft --corpus reports --question \"What was revenue in 2023?\"\n  ibid bench ttft --context 4096 --repeat 5\n\nWithout --corpus, a small corpus of its own is asked, in a temporary folder. The answers to questions of --corpus are stored like any others.\nWith --context, that many tokens of stored KV are composed from disk and a question of 32 tokens is read behind them, against this engine's own prefill of the same tokens."
)]
pub struct BenchTtft {
    /// Ask this corpus
    #[arg(long, value_name = "NAME", requires = "question")]
    pub corpus: Option<String>,
    /// What to ask it
    #[arg(long, requires = "corpus")]
    pub question: Option<String>,
    /// Compose this many stored tokens instead of asking a corpus
    #[arg(long, value_delimiter = ',', value_name = "TOKENS", conflicts_with = "corpus")]
    pub context: Vec<usize>,
    /// JSON array of token ids to compose, instead of made-up ones
    #[arg(long, value_name = "IDS.json", requires = "context")]
    pub ids: Option<PathBuf>,
    #[arg(long, default_value_t = 3)]
    pub repeat: usize,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid bench ingest\n  ibid bench ingest --from ~/papers --tokens 1000000\n\nThe files are taken in order of path until there are enough tokens, the last one cut. When there are too few, their texts follow again, each time with other marks in them, so that nothing is found to be stored already.\n\nSegments are written beside the prefill of the next ones, so that the seconds of `write` lie within those of `prefill`, but for the last. \"busy cores\" is how many of this machine's `cores` were at work on average; \"over prefill\" how many times as fast as prefill the named stages are."
)]
pub struct BenchIngest {
    /// Size of the text
    #[arg(long, default_value_t = 100_000)]
    pub tokens: u64,
    /// Folder whose files are read
    #[arg(long, value_name = "FOLDER", default_value = "examples/corpus")]
    pub from: PathBuf,
    #[arg(long, default_value_t = 1)]
    pub repeat: usize,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid bench restore\n  ibid bench restore --tokens 1024,4096 --repeat 5\n\nEach run ends with the first attend over the pages: one token is run behind them. Cold runs ask the system to forget the files first; `storage_bytes` says how much then came from the disk."
)]
pub struct BenchRestore {
    /// Tokens stored
    #[arg(long, value_delimiter = ',', default_values_t = [1024, 4096])]
    pub tokens: Vec<usize>,
    #[arg(long, default_value_t = 3)]
    pub repeat: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Plain f32 arithmetic over KV in f32
    Reference,
    /// The fast arithmetic over KV in int8, ten times as fast
    Int8,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid bench perplexity\n  ibid bench perplexity --tokens 50000 --kv int8,bf16 --from ~/papers\n  ibid bench perplexity --kv k6v4 --against int8\n\nThe f32 reference reads every token too, at a few dozen tokens a second. The text is cut into stretches; each is read behind the header alone, and a token is predicted from those of its stretch."
)]
pub struct BenchPerplexity {
    /// Size of the text
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(2..))]
    pub tokens: u64,
    /// Tokens that are read in one go, the window at most
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(2..))]
    pub stretch: u64,
    /// What KV is kept in
    #[arg(long, value_delimiter = ',', default_value = "int8")]
    pub kv: Vec<KvDtype>,
    /// What the others are held against
    #[arg(long, value_enum, default_value = "reference")]
    pub against: Against,
    /// Folder whose files are read
    #[arg(long, value_name = "FOLDER", default_value = "examples/corpus")]
    pub from: PathBuf,
}
