//! KV segments on disk: the prefilled keys and values of documents, kept between runs.
//!
//! On the data path this crate sits between prefill, which writes rows into a [`PageBuf`], and attend,
//! which reads them back in any later process. It knows no model and does no maths but the row codec.
//! `FORMAT.md` is the only description of the bytes.

#![forbid(unsafe_code)]

mod error;
pub mod page;

pub use error::{KvError, Result};
pub use page::{Dtype, PAGE_TOKENS, PageBuf, PageShape};
