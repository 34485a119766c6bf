//! The service as its clients meet it: `ibid serve` in a process of its own, asked over HTTP.

mod client;
mod events;
mod reply;
mod server;

mod answers;
mod chat;
mod command_line;
mod conversations;
mod corpora;
mod crash;
mod delete;
mod documents;
mod gate;
mod hostile_files;
mod hostile_questions;
mod hostile_requests;
mod idempotency;
mod keys;
mod limits;
mod multipart;
mod owners;
mod pages;
mod queue;
mod restricted;
mod session;
mod status;
mod stop;
mod stream;
mod uploads;
