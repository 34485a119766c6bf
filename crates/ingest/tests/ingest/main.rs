//! Ingest end to end over a real engine with a tiny random model, a real disk and the real parser child.

mod add;
mod archive;
mod hostile_archive;
mod place;
mod power_cut;
mod powered;
mod rebuild;
mod removal;
mod resume;
mod tiny_model;
mod upload;
mod workplace;
