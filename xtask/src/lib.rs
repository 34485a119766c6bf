//! Chores of the repository, as a library too: a test runs `tidy`, others need the documents of `recall`.

pub mod instructions;
mod random;
pub mod recall;
pub mod slice;
pub mod tidy;
