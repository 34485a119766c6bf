//! The maths of a language model on the CPU, behind one narrow trait.
//!
//! On the data path this crate stands between the tensors of `weights` and the pages of `kv` on one side and the
//! forward pass of `scout` on the other. [`Ops`] is the seam; [`Reference`] is plain f32 and the oracle of errors,
//! [`Int8`] the fast path, whose bits depend on nothing but the token, its context and the weights.
//! The crate does no I/O and knows no model.

mod error;
mod experts;
mod int8;
mod ops;
mod reference;
mod rope;
mod rows;
mod simd;
mod stack;

pub use error::{Error, Result};
pub use experts::{Routed, norm_heads, route};
pub use int8::{Int8, Int8Acts, Int8Matrix};
pub use ops::{AttendGroup, AttendSpec, KvBlock, Ops, PAGE_LEN, PageWeights, Walk};
pub use reference::{Reference, ReferenceMatrix};
pub use rope::{Pairing, RopeTable};
pub use rows::Rows;
pub use simd::Isa;
