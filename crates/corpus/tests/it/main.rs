//! Extraction from outside: the child process and every way it can end, hostile files, and the sample documents.

mod hostile_markup;
mod hostile_text;
mod program;
mod samples;
mod worker;
