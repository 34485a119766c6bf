//! Documents → canonical text → tokens → source map.
//!
//! Second stop of the data path: [`extract`] turns one file, inside a child process ([`worker`]), into canonical
//! text with page marks; [`tokens`] turns the text into a token stream whose every token points at its bytes;
//! [`units`] and [`passages`] cut it into what can be quoted and what can be retrieved. For a reader who checks a
//! quote, [`page_image`] paints a page in the same kind of child. Every offset refers to the canonical text. The bytes
//! come from strangers: nothing here panics on them, and every limit has a name.

// Bytes from strangers never panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::panic
    )
)]

pub mod extract;
pub mod page_image;
pub mod passages;
pub mod tokens;
pub mod units;
pub mod worker;

pub use extract::{
    Block, BlockKind, BoxRun, CharBox, ExtractError, Extracted, HiddenText, Limits, PageMark, State, Warning,
    WarningCode,
};
pub use page_image::PageImage;
pub use passages::Passage;
pub use tokens::TokenStream;
pub use units::Unit;
