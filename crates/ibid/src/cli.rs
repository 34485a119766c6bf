//! The command line: what can be typed, and the same commands as JSON for the process that owns the data folder.

mod bench;
mod key;
mod model;

pub use bench::{Against, Bench, BenchEngine, BenchIngest, BenchPerplexity, BenchRestore, BenchTtft};
pub use key::{Key, KeyCreate, KeyScope};
pub use model::{Convert, Fetch, Inspect, Logits, Model, ModelPlan, Numerics};

use crate::settings::KvDtype;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Answers questions about documents that were read once, with citations to the exact characters.
#[derive(Debug, Parser)]
#[command(
    name = "ibid",
    version,
    after_help = "Start with:\n  ibid model fetch\n  ibid add reports ./reports/\n  ibid ask reports \"What was revenue in 2023?\"\n\nExit codes: 0 done, 1 error, 2 usage, 3 not in these documents"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct Global {
    /// Data folder; default: the platform's data directory
    #[arg(long, global = true, env = "IBID_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Model file, folder, or name of a fetched model; default: that of the running service, else the default model, or the
    /// only one fetched
    #[arg(long, global = true, value_name = "PATH|NAME")]
    pub model: Option<String>,
    /// What new KV is kept in; a corpus keeps one kind. Default: kv_dtype of the configuration
    #[arg(long, global = true, value_enum, value_name = "TYPE")]
    pub kv_dtype: Option<KvDtype>,
    /// Run a Llama 4 Scout whose RoPE scaling is not the released one (files converted before April 2025)
    #[arg(long, global = true)]
    #[serde(default)]
    pub allow_wrong_rope: bool,
    /// Print JSON objects; progress as NDJSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Read files and folders into a corpus; goes on where it stopped
    Add(Add),
    /// Ask a corpus a question
    Ask(Ask),
    /// Serve the web page and the REST interface
    Serve(Serve),
    /// List corpora
    #[command(after_help = "Example:\n  ibid list")]
    List,
    /// Show a corpus, or one document of it
    Show(Show),
    /// Remove a corpus, or one document of it
    Remove(Remove),
    /// List jobs, newest first
    #[command(after_help = "Example:\n  ibid jobs")]
    Jobs,
    /// Give a stored answer again and compare
    Replay(Replay),
    /// Judge answers to a file of questions
    Eval(Eval),
    /// Write a corpus, with its originals and its KV, into one file
    Export(Export),
    /// Make a corpus of a file that export wrote
    Import(Import),
    /// Check every stored byte against its digest
    Verify(Verify),
    /// Measure the engine on this machine
    #[command(subcommand)]
    Bench(Bench),
    /// Fetch and examine models
    #[command(subcommand)]
    Model(Model),
    /// Make, list and revoke keys of the service
    #[command(subcommand)]
    Key(Key),
    /// Show the configuration in force
    #[command(subcommand)]
    Config(Config),
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid add reports ./reports/\n  ibid add reports ./reports/ --prune\n  ibid add notes todo.md meeting.docx\n  ibid add reports /media/usb/reports/ --as usb-reports\n\nA document is stored under the name of the folder or file that is named. A file from another place than what is stored\nunder its name is refused, unless --replace says that it is meant or --as gives another name."
)]
pub struct Add {
    /// Corpus to add to; made when it is new
    pub corpus: String,
    /// Files, and folders with all their subfolders (.gitignore is respected)
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Store the one file or folder under this name instead of its own
    #[arg(long = "as", value_name = "NAME")]
    #[serde(default)]
    pub name: Option<String>,
    /// Let files take the place of documents of the same name that were added from elsewhere
    #[arg(long)]
    #[serde(default)]
    pub replace: bool,
    /// Remove documents of the corpus that were not found
    #[arg(long)]
    pub prune: bool,
    /// Try again documents that were not readable before
    #[arg(long)]
    pub retry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What scores best on the question set: quoting
    Auto,
    /// Only whole sentences, rows or lines of the documents
    Quote,
    /// The model's own words, with citations where they are borne out
    Free,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid ask reports \"What was revenue in 2023?\"\n  ibid ask reports --mode quote \"Who signed the lease?\"\n  ibid ask reports --document reports/10-K.pdf --json \"Who audits the company?\""
)]
pub struct Ask {
    /// Corpus to ask
    pub corpus: String,
    /// The question, in quotation marks
    pub question: String,
    /// How the answer is made
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    pub mode: Mode,
    /// Ask only this document (id or path; may be repeated)
    #[arg(long = "document", value_name = "DOCUMENT")]
    pub documents: Vec<String>,
    /// 0 always takes the likeliest token
    #[arg(long, default_value_t = 0.0, value_parser = temperature)]
    pub temperature: f32,
    /// Draws from the smallest set of tokens whose probability reaches this; with a temperature above 0
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    pub top_p: f32,
    /// Makes answers of a temperature above 0 repeatable
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Most tokens of a free answer
    #[arg(long, value_name = "TOKENS")]
    pub max_output_tokens: Option<u64>,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid serve\n  ibid serve --address 127.0.0.1:9000\n  ibid key create --owner ann && ibid serve --address 0.0.0.0:8080\n\nOther ibid commands on the same data folder go through it while it runs. Limits are in the table [service] of config.toml."
)]
pub struct Serve {
    /// Address and port to listen on; one that other machines reach needs a key
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// Print the OpenAPI description of the REST interface and end
    #[arg(long)]
    pub openapi: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(after_help = "Example:\n  ibid replay ans_01K6ZJ8Q4T9GZC3N5W2V7XHRME")]
pub struct Replay {
    /// Id of a stored answer
    pub answer: String,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid eval sample tests/questions/questions.json --split tuning\n  ibid eval sample questions.json --mode quote --mode free\n  ibid eval sample questions.json --mode free --reference\n\nA question file is a JSON array of {id, kind, split, question, accept: [..], gold: [{document, quote}]}. The kind is direct,\nparaphrase, two_documents, record or unanswerable, which has no gold; it may be left out."
)]
pub struct Eval {
    /// Corpus to ask
    pub corpus: String,
    pub questions: PathBuf,
    /// Only the questions of this split
    #[arg(long)]
    pub split: Option<String>,
    /// May be repeated
    #[arg(long, value_enum, default_values_t = [Mode::Auto])]
    pub mode: Vec<Mode>,
    /// Passages composed for each question, at least one
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub passages: Option<usize>,
    /// With --json: what every unit had for it, to fit the weights on
    #[arg(long, requires = "json")]
    pub evidence: bool,
    /// Compare stored KV with KV prefilled afresh, on the passages that answer
    #[arg(long)]
    pub reuse: bool,
    /// Compare greedy answers, given the first passage found, with those of the f32 reference, which reads a few dozen
    /// tokens a second (models that are given passages)
    #[arg(long)]
    #[serde(default)]
    pub reference: bool,
    /// Ask with the stored rows of all gold quotes out of sight (models that see whole corpora)
    #[arg(long)]
    #[serde(default)]
    pub hide_gold: bool,
    /// Read the documents anew, one behind the other, instead of opening their stored rows: the difference is what
    /// reading each alone costs. Nothing is cited then (models that see whole corpora)
    #[arg(long, conflicts_with = "hide_gold")]
    #[serde(default)]
    pub exact: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid show reports\n  ibid show reports reports/10-K.pdf\n  ibid show reports reports/10-K.pdf --text"
)]
pub struct Show {
    /// Corpus to show
    pub corpus: String,
    /// Id or path
    pub document: Option<String>,
    /// Print the canonical text, which citation offsets (code points) refer to
    #[arg(long, requires = "document")]
    pub text: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(after_help = "Examples:\n  ibid remove reports\n  ibid remove reports reports/10-K.pdf")]
pub struct Remove {
    /// Corpus to remove, or to remove a document of
    pub corpus: String,
    /// Id or path
    pub document: Option<String>,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid export reports reports.ibid\n  ibid export reports /media/usb/reports.ibid --force"
)]
pub struct Export {
    /// Corpus to export
    pub corpus: String,
    /// Archive to write
    pub file: PathBuf,
    /// Replace the file when it exists
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid import reports.ibid\n  ibid import reports.ibid --as reports-2023\n\nWith the model of the archive, questions can be asked at once; with another one the texts are read again. Checksums\nshow that the archive's texts and KV are whole, not that they were made from its originals: you believe whoever\nexported it. With --no-kv only originals, paths and the name are taken: use it for a file you do not trust."
)]
pub struct Import {
    /// Archive that ibid export wrote
    pub file: PathBuf,
    /// Name of the new corpus; default: its name when it was exported
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// Take only the originals from the archive: parse them and compute the KV here
    #[arg(long)]
    pub no_kv: bool,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(after_help = "Example:\n  ibid verify")]
pub struct Verify {}

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// Print every setting and where it comes from
    #[command(after_help = "Example:\n  ibid config show")]
    Show,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("give a whole number from 1 on".into()),
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("give a number above 0 and up to 1".into()),
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(temperature) if (0.0..=100.0).contains(&temperature) => Ok(temperature),
        _ => Err("give a number from 0 to 100".into()),
    }
}

/// Name of the command that serves.
pub const SERVE: &str = "serve";

impl Command {
    /// Short commands that the process owning the data folder runs for others; the rest wait until it ends.
    pub fn runs_in_owner(&self) -> bool {
        matches!(
            self,
            Self::Ask(_) | Self::Replay(_) | Self::List | Self::Show(_) | Self::Jobs | Self::Key(_)
        )
    }

    /// Whether the service carries it out for others: all but what needs the data folder for itself.
    pub fn runs_in_service(&self) -> bool {
        !matches!(self, Self::Serve(_) | Self::Bench(_) | Self::Model(_) | Self::Config(_))
    }

    /// Runs long enough for others to want its process meanwhile. A measurement is not shared with anything else.
    pub fn serves_others(&self) -> bool {
        !matches!(self, Self::List | Self::Show(_) | Self::Jobs | Self::Key(_) | Self::Bench(_))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Ask(_) => "ask",
            Self::Replay(_) => "replay",
            Self::Eval(_) => "eval",
            Self::Serve(_) => SERVE,
            Self::List => "list",
            Self::Show(_) => "show",
            Self::Remove(_) => "remove",
            Self::Jobs => "jobs",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Verify(_) => "verify",
            Self::Bench(_) => "bench",
            Self::Model(_) => "model",
            Self::Key(_) => "key",
            Self::Config(_) => "config",
        }
    }

    /// Makes paths independent of this process's working directory.
    pub fn resolve_paths(&mut self, working_directory: &Path) {
        match self {
            Self::Add(add) => {
                for path in &mut add.paths {
                    *path = working_directory.join(&path);
                }
            }
            Self::Eval(eval) => eval.questions = working_directory.join(&eval.questions),
            Self::Bench(Bench::Ingest(ingest)) => ingest.from = working_directory.join(&ingest.from),
            Self::Bench(Bench::Ttft(BenchTtft { ids: Some(ids), .. })) => {
                *ids = working_directory.join(&*ids)
            }
            Self::Export(export) => export.file = working_directory.join(&export.file),
            Self::Import(import) => import.file = working_directory.join(&import.file),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_leaf_shows_examples() {
        Cli::command().debug_assert();
        fn leaves(command: &clap::Command, found: &mut Vec<(String, bool)>) {
            if command.get_subcommands().next().is_none() {
                let explained = command.get_after_help().is_some();
                found.push((command.get_name().to_owned(), explained));
            }
            command.get_subcommands().for_each(|c| leaves(c, found));
        }
        let mut found = Vec::new();
        leaves(&Cli::command(), &mut found);
        assert!(found.len() > 8);
        assert!(found.iter().all(|(_, explained)| *explained), "{found:?}");
    }

    #[test]
    fn commands_survive_the_way_to_the_owner() {
        let cli = Cli::try_parse_from(["ibid", "show", "c", "a.md", "--text", "--json"]).unwrap();
        let text = serde_json::to_string(&cli.command).unwrap();
        let Command::Show(show) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!((show.corpus.as_str(), show.document.as_deref(), show.text), ("c", Some("a.md"), true));
        assert!(cli.global.json);
    }

    #[test]
    fn paths_are_taken_from_where_the_command_was_typed() {
        let mut command = Cli::try_parse_from(["ibid", "add", "c", "docs", "/x"]).unwrap().command;
        command.resolve_paths(Path::new("/home/me"));
        let Command::Add(add) = command else { panic!("not add") };
        assert_eq!(add.paths, [Path::new("/home/me/docs"), Path::new("/x")]);
    }
}
