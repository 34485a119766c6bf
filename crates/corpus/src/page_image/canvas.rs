//! How many pixels a page gets.

use crate::extract::{Limits, pdf::Sheet};

/// Size of a picture in pixels; no side is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    pub width: u16,
    pub height: u16,
}

impl Canvas {
    /// `scale` pixels per point, or as many as the limits leave. Shape gives way before size does: a page that is a
    /// million times as wide as high still is a picture, if a distorted one.
    pub fn fit(width_points: f32, height_points: f32, scale: u32, limits: &Limits) -> Self {
        let longest = limits.render_points as f64;
        let [mut width, mut height] = [width_points, height_points]
            .map(|points| f64::from(points).clamp(1.0, longest.max(1.0)) * f64::from(scale));
        let most = limits.render_pixels.max(1) as f64;
        if width * height > most {
            let shrink = (most / (width * height)).sqrt();
            (width, height) = (width * shrink, height * shrink);
        }
        let side = |pixels: f64, most: f64| pixels.round().clamp(1.0, most.clamp(1.0, f64::from(u16::MAX)));
        let height = side(height, most);
        let width = side(width, (most / height).floor());
        Self { width: width as u16, height: height as u16 }
    }

    /// User space → pixels, in PDF's order. Each axis is fitted by itself: rounding to whole pixels moves no box.
    pub fn matrix(self, sheet: Sheet) -> [f64; 6] {
        let (width, height) = sheet.shown();
        let (x, y) = (f64::from(self.width) / f64::from(width), f64::from(self.height) / f64::from(height));
        let [a, b, c, d, e, f] = sheet.matrix();
        [x * a, y * b, x * c, y * d, x * e, y * f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(width: f32, height: f32, scale: u32, limits: &Limits) -> (u16, u16) {
        let canvas = Canvas::fit(width, height, scale, limits);
        (canvas.width, canvas.height)
    }

    #[test]
    fn a_common_page_gets_what_was_asked_for() {
        assert_eq!(fit(612.0, 792.0, 2, &Limits::default()), (1224, 1584));
        assert_eq!(fit(595.28, 841.89, 4, &Limits::default()), (2381, 3368));
        assert_eq!(fit(0.5, 1.0, 1, &Limits::default()), (1, 1));
    }

    #[test]
    fn no_page_passes_the_limits() {
        let small =
            |render_points, render_pixels| Limits { render_points, render_pixels, ..Limits::default() };
        for limits in [Limits::default(), small(100, 10), small(0, 0), small(u64::MAX, u64::MAX)] {
            for (width, height) in [(14_400.0, 14_400.0), (1e11, 792.0), (1.0, 1e11), (1e11, 1e11)] {
                let (x, y) = fit(width, height, 4, &limits);
                assert!(x > 0 && y > 0, "{width} by {height}");
                assert!(u64::from(x) * u64::from(y) <= limits.render_pixels.max(1), "{x} by {y}: {limits:?}");
            }
        }
        assert_eq!(fit(14_400.0, 14_400.0, 1, &Limits::default()), (4096, 4096));
    }
}
