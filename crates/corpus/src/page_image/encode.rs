//! Pixels → PNG, grey where the page has no colour: most pages of text, at a third of the bytes.

use std::io::{self, Write};

use hayro::vello_cpu::Pixmap;
use png::{BitDepth, ColorType, DeflateCompression, Encoder, EncodingError, Filter};

use crate::extract::{ExtractError, Limits};

/// The pixels are opaque. Error: the limit `png_bytes`.
pub fn png(picture: &Pixmap, limits: &Limits) -> Result<Vec<u8>, ExtractError> {
    let mut out = Bounded { bytes: Vec::new(), most: limits.png_bytes };
    match write(picture, &mut out) {
        Ok(()) => Ok(out.bytes),
        // Memory takes everything else.
        Err(EncodingError::IoError(_)) => Err(ExtractError::limit("png_bytes", limits.png_bytes)),
        Err(error) => Err(ExtractError::Worker { detail: format!("PNG: {error}") }),
    }
}

fn write(picture: &Pixmap, out: &mut Bounded) -> Result<(), EncodingError> {
    let pixels = picture.data();
    let grey = pixels.iter().all(|pixel| pixel.r == pixel.g && pixel.g == pixel.b);
    let (color, samples) = if grey {
        (ColorType::Grayscale, pixels.iter().map(|pixel| pixel.r).collect::<Vec<u8>>())
    } else {
        (ColorType::Rgb, pixels.iter().flat_map(|pixel| [pixel.r, pixel.g, pixel.b]).collect())
    };
    let mut encoder = Encoder::new(out, u32::from(picture.width()), u32::from(picture.height()));
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    // Letters on paper pack best as they are: half the bytes of filtered rows.
    encoder.set_filter(Filter::NoFilter);
    encoder.set_deflate_compression(DeflateCompression::Level(3));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&samples)?;
    writer.finish()
}

/// Bytes in memory up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    most: u64,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + more.len()) as u64 > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
