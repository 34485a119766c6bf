//! The child process that parses documents and paints their pages, seen from both sides.
//!
//! `parent.rs` starts one child per request and turns every way it can end into a result; `child.rs` reads the file
//! from standard input and writes one reply; `sandbox.rs` is what the child gives up first; `wire.rs` is the request
//! and the reply.

mod child;
mod parent;
mod sandbox;
mod wire;

pub use child::{serve, serve_with};
pub use parent::Worker;
