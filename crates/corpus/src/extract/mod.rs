//! One file's bytes → canonical text, page marks, blocks and warnings. First half of this crate's path.

mod error;
mod extracted;
mod limits;
mod spans;

pub use error::ExtractError;
pub use extracted::{
    Block, BlockKind, BoxRun, CharBox, Extracted, HiddenText, PageMark, State, Warning, WarningCode,
};
pub use limits::Limits;
