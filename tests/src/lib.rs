//! End-to-end tests: the `ibid` program with a real language model, one test per promise, one test binary.
//!
//! `IBID_TEST_MODEL` names the model file; without it the tests that need a model print a line and end.
//! The program is the one beside the test binary: `cargo build --workspace --all-targets` builds both.

#[cfg(test)]
mod add;
#[cfg(test)]
mod answer;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk_full;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod objects;
#[cfg(test)]
#[path = "../../crates/corpus/tests/it/pdf_writer.rs"]
mod pdf_writer;
#[cfg(test)]
mod program;
#[cfg(test)]
mod recall;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod remove;
#[cfg(test)]
mod service;
#[cfg(test)]
mod two_processes;
