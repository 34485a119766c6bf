//! One page of a PDF → a picture of it, for a viewer that lays the text's boxes over it.
//!
//! Path of a picture: `PagePlace` (of `extract/pdf`) says which page it is and where its points are seen, as the
//! parser of the text has it → `canvas` chooses the size in pixels → `raster` paints → `encode` writes the PNG. The
//! boxes of [`crate::BoxRun`] are fractions of this picture, whatever its size. The painter is not trusted: this
//! runs in the child process only ([`crate::worker`]), whose limits end what the limits here don't.

mod canvas;
mod encode;
mod raster;

use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::extract::{self, ExtractError, Limits, pdf};
use canvas::Canvas;

/// First bytes of every PNG, up to the sides in its first chunk.
const PNG_HEAD: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// A page as it looks, on white.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageImage {
    /// The picture: 8 bits per sample, grey or RGB.
    pub png: Vec<u8>,
    pub width_px: u32,
    pub height_px: u32,
    /// Size of the page as shown: what its [`crate::PageMark`] says.
    pub width_points: f32,
    pub height_points: f32,
}

impl PageImage {
    /// Holds the sizes against each other, for an image that came from elsewhere. The error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let sides = [self.width_px, self.height_px].map(u32::to_be_bytes).concat();
        if self.png.strip_prefix(PNG_HEAD).is_none_or(|rest| !rest.starts_with(&sides)) {
            return Err(format!("no PNG of {} by {} pixels", self.width_px, self.height_px));
        }
        let points = [self.width_points, self.height_points];
        if !points.iter().all(|side| side.is_finite() && *side > 0.0) {
            return Err(format!("a page of {} by {} points", self.width_points, self.height_points));
        }
        Ok(())
    }
}

/// Paints page `page` (from 1) at `scale` pixels per point in this process: the child's work. `name` is a label only.
///
/// A page too large for the limits is shown smaller, so `scale` is a wish. Parts of a page that the painter cannot make
/// sense of stay blank.
pub fn render(
    file: impl Read,
    name: &str,
    page: u32,
    scale: u32,
    limits: &Limits,
) -> Result<PageImage, ExtractError> {
    if !(1..=limits.render_scale).contains(&u64::from(scale)) {
        return Err(ExtractError::limit("render_scale", limits.render_scale));
    }
    let bytes = extract::read_pdf(file, name, limits)?;
    let place = pdf::page_place(&bytes, page, limits)?;
    let (width_points, height_points) = place.sheet.shown();
    let canvas = Canvas::fit(width_points, height_points, scale, limits);
    let picture = raster::paint(bytes, &place, canvas)?;
    let png = encode::png(&picture, limits)?;
    let (width_px, height_px) = (u32::from(canvas.width), u32::from(canvas.height));
    Ok(PageImage { png, width_px, height_px, width_points, height_points })
}
