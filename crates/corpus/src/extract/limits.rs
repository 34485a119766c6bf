//! Every bound on what a document may cost, in one struct; the field names appear in errors and configuration.

use serde::{Deserialize, Serialize};

/// Bounds of one extraction or page image. Start values follow the security limits of document-extraction services in the field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of the file itself.
    pub input_bytes: u64,
    /// Bytes of canonical text (UTF-8).
    pub text_bytes: u64,
    /// Members of an archive (DOCX).
    pub archive_members: u64,
    /// Bytes of all archive members, or of one document's streams, once unpacked.
    pub unpacked_bytes: u64,
    /// Unpacked bytes per packed byte of one archive member or stream (counted past the first mebibyte).
    pub unpack_ratio: u64,
    /// Open elements in an XML member.
    pub xml_depth: u64,
    /// Bytes of one XML tag with its attributes.
    pub xml_tag_bytes: u64,
    /// Open elements in an HTML document.
    pub html_depth: u64,
    /// Nodes in an HTML document.
    pub html_nodes: u64,
    /// Cells of one table, or fields of one CSV row.
    pub table_cells: u64,
    /// Nested PDF objects.
    pub pdf_depth: u64,
    /// Pages of a document.
    pub pages: u64,
    /// Milliseconds the parent waits for the child.
    pub wall_ms: u64,
    /// CPU seconds of the child.
    pub cpu_seconds: u64,
    /// Bytes of address space of the child.
    pub address_space: u64,
    /// Bytes of the parser thread's stack.
    pub stack_bytes: u64,
    /// Bytes of the child's reply (text, boxes and marks, or a page image).
    pub reply_bytes: u64,
    /// Pixels per point of a page image.
    pub render_scale: u64,
    /// Points of a page's side that an image shows in true size; a longer side is shrunk to this one.
    pub render_points: u64,
    /// Pixels of a page image; a larger one is shrunk to this many.
    pub render_pixels: u64,
    /// Bytes of a page image as PNG.
    pub png_bytes: u64,
    /// Milliseconds the parent waits for a page image, since somebody is looking; `wall_ms` where that is less.
    pub render_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 512 << 20,
            text_bytes: 100 << 20,
            archive_members: 10_000,
            unpacked_bytes: 500 << 20,
            unpack_ratio: 100,
            xml_depth: 100,
            xml_tag_bytes: 1 << 20,
            html_depth: 512,
            html_nodes: 10_000_000,
            table_cells: 100_000,
            pdf_depth: 100,
            pages: 100_000,
            wall_ms: 120_000,
            cpu_seconds: 120,
            address_space: 3 << 30,
            stack_bytes: 16 << 20,
            reply_bytes: 1 << 30,
            render_scale: 4,
            // The longest side of ISO 32000-1, annex C.
            render_points: 14_400,
            render_pixels: 16 << 20,
            png_bytes: 64 << 20,
            render_ms: 30_000,
        }
    }
}
