//! Page images looked at pixel by pixel.

use corpus::{CharBox, ExtractError, Limits, PageImage};

use crate::program::worker;

/// Luminance of each pixel, row by row.
pub struct Picture {
    pub image: PageImage,
    luma: Vec<u8>,
}

/// Writes a file and paints one of its pages in a child.
pub fn paint(bytes: &[u8], page: u32, scale: u32, limits: &Limits) -> Result<Picture, ExtractError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.pdf");
    std::fs::write(&path, bytes).expect("a temporary file");
    worker(None).render_page(&path, page, scale, limits).map(Picture::new)
}

impl Picture {
    pub fn new(image: PageImage) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(&image.png)).read_info().expect("a PNG");
        let mut samples = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut samples).expect("a whole PNG");
        assert_eq!((info.width, info.height), (image.width_px, image.height_px));
        let luma = samples.chunks_exact(info.color_type.samples()).map(|pixel| {
            (pixel.iter().map(|&sample| u32::from(sample)).sum::<u32>() / pixel.len() as u32) as u8
        });
        let luma = luma.collect();
        Self { image, luma }
    }

    /// The page, all of it.
    pub fn whole(&self) -> CharBox {
        CharBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 }
    }

    fn pixels(&self, area: CharBox) -> impl Iterator<Item = u8> {
        let (width, height) = (self.image.width_px as usize, self.image.height_px as usize);
        let at = |fraction: f32, side: usize| ((fraction * side as f32).round() as usize).min(side);
        let (columns, rows) =
            (at(area.x0, width)..at(area.x1, width), at(area.y0, height)..at(area.y1, height));
        rows.flat_map(move |row| columns.clone().map(move |column| self.luma[row * width + column]))
    }

    /// Dark pixels of an area.
    pub fn ink(&self, area: CharBox) -> usize {
        self.pixels(area).filter(|luma| *luma < 128).count()
    }

    /// Whether anything stands out in an area: letters on paper, or paper-white letters on a dark ground.
    pub fn shows_something(&self, area: CharBox) -> bool {
        let (least, most) =
            self.pixels(area).fold((255, 0), |(least, most), luma| (luma.min(least), luma.max(most)));
        most > least && most - least > 64
    }
}
