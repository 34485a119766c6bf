//! `ibid key …`: what can be typed.

use catalog::LOCAL_OWNER;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Make a key and print its secret, this once
    Create(KeyCreate),
    /// List the keys of an owner
    List(KeyList),
    /// Make a key useless at once
    Revoke(KeyRevoke),
}

/// What a key allows; none includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Show corpora, documents, answers and jobs
    Read,
    /// Ask questions
    Ask,
    /// Upload and delete
    Write,
    /// Figures of the whole service
    Admin,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(
    after_help = "Examples:\n  ibid key create --owner ann\n  ibid key create --owner local --scope read --scope ask --corpus reports --days 30\n\nWhat the command line adds belongs to the owner local. As soon as any key exists, the service asks for one."
)]
pub struct KeyCreate {
    /// Whose objects the key opens
    #[arg(long, value_name = "NAME")]
    pub owner: String,
    /// To tell keys apart
    #[arg(long, default_value = "")]
    pub name: String,
    /// What it allows; may be repeated. Default: read, ask and write
    #[arg(long = "scope", value_enum, value_name = "SCOPE")]
    pub scopes: Vec<KeyScope>,
    /// Only this corpus (id or name; may be repeated)
    #[arg(long = "corpus", value_name = "CORPUS")]
    pub corpora: Vec<String>,
    /// Expires after so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub days: Option<u64>,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(after_help = "Example:\n  ibid key list --owner ann")]
pub struct KeyList {
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(after_help = "Example:\n  ibid key revoke --owner ann key_01K6ZJ8Q4T9GZC3N5W2V7XHRME")]
pub struct KeyRevoke {
    /// Id, as ibid key list shows it
    pub id: String,
    #[arg(long, value_name = "NAME", default_value = LOCAL_OWNER)]
    pub owner: String,
}
