//! The layout modules and the backend of crates/corpus, compiled in place.
#![allow(dead_code)]

#[path = "../../../crates/corpus/src/extract/pdf/assemble.rs"]
pub mod assemble;
#[path = "../../../crates/corpus/src/extract/pdf/backend.rs"]
pub mod backend;
#[path = "../../../crates/corpus/src/extract/pdf/bidi.rs"]
pub mod bidi;
#[path = "../../../crates/corpus/src/extract/pdf/columns.rs"]
pub mod columns;
#[path = "../../../crates/corpus/src/extract/pdf/glyph.rs"]
pub mod glyph;
#[path = "../../../crates/corpus/src/extract/pdf/render_mode.rs"]
pub mod render_mode;
#[path = "../../../crates/corpus/src/extract/pdf/words.rs"]
pub mod words;
