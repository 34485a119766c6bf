//! Extraction from outside: the child process and every way it can end, hostile files, and the sample documents.

mod encrypted_pdf;
mod hostile_markup;
mod hostile_pdf;
mod hostile_text;
mod pdf_writer;
mod program;
mod samples;
mod worker;
