//! One file per command; each `run` reads its arguments and tells what it does through `Out`.

pub mod add;
pub mod ask;
pub mod bench;
pub mod config;
pub mod eval;
pub mod export;
pub mod import;
pub mod jobs;
pub mod key;
pub mod list;
pub mod model;
mod progress;
pub mod remove;
pub mod replay;
pub mod show;
pub mod verify;
