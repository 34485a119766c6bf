//! Extraction from outside: the child process and every way it can end, hostile files, and the sample documents; images of
//! pages against the boxes of their text.

mod encrypted_pdf;
mod hostile_markup;
mod hostile_page;
mod hostile_pdf;
mod hostile_text;
mod page_image;
mod pdf_writer;
mod picture;
mod program;
mod samples;
mod worker;
