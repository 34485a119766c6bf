//! Model files: GGUF and safetensors containers, read in place through a memory map.
//!
//! First stop of the data path: [`Model::open`] checks a file (or folder of shards) once, completely, and every
//! later [`Model::tensor`] is a lookup that borrows the mapped bytes. Model files come from strangers, so nothing
//! here panics on their content: readers are bounded, sizes are checked arithmetic, refusals are named.
//!
//! Truncating a model file while it is open kills the process (SIGBUS): see [`Model`].

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod blocks;
mod convert;
mod dtype;
mod error;
mod experts;
mod fingerprint;
mod gguf;
mod group_scales;
mod map;
mod metadata;
mod model;
mod new_file;
mod quantise;
mod reader;
mod safetensors;
mod table;
mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use convert::{Conversion, int4_bytes};
pub use dtype::DType;
pub use error::{Error, Result};
pub use experts::OwnedTensor;

pub use fingerprint::{Fingerprint, Progress};
pub use group_scales::GroupScales;
pub use metadata::{Array, Metadata, Value};
pub use model::{Container, Model};
pub use safetensors::{SafetensorsWriter, TensorSpec};
pub use tensor::Tensor;
