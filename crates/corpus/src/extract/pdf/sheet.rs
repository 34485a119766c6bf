//! A page's visible box and rotation: the one place that says where a point of the page's own space is seen.

/// The page box in user space and its rotation in quarter turns.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    pub left: f32,
    pub bottom: f32,
    pub width: f32,
    pub height: f32,
    pub quarter: u8,
}

impl Sheet {
    /// From any two opposite corners and a rotation in degrees. ISO 32000-1 14.11.2 asks for a media box; a page
    /// without a usable one is taken as US Letter.
    pub fn new([x0, y0, x1, y1]: [f32; 4], degrees: i32) -> Self {
        let (x0, x1) = (x0.min(x1), x0.max(x1));
        let (y0, y1) = (y0.min(y1), y0.max(y1));
        let usable = [x0, y0, x1, y1].iter().all(|v| v.is_finite()) && x1 - x0 >= 1.0 && y1 - y0 >= 1.0;
        let (left, bottom, width, height) =
            if usable { (x0, y0, x1 - x0, y1 - y0) } else { (0.0, 0.0, 612.0, 792.0) };
        Self { left, bottom, width, height, quarter: (degrees / 90).rem_euclid(4) as u8 }
    }

    /// User space → points of the page as shown, origin top left.
    pub fn place(self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.left, self.bottom + self.height - y);
        match self.quarter {
            1 => (self.height - y, x),
            2 => (self.width - x, self.height - y),
            3 => (y, self.width - x),
            _ => (x, y),
        }
    }

    /// Width and height in points, as shown.
    pub fn shown(self) -> (f32, f32) {
        if self.quarter % 2 == 1 { (self.height, self.width) } else { (self.width, self.height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_is_no_page_is_us_letter() {
        for corners in [[0.0; 4], [f32::NAN, 0.0, 9.0, 9.0], [0.0, 0.0, f32::INFINITY, 9.0]] {
            assert_eq!(Sheet::new(corners, 90).shown(), (792.0, 612.0), "{corners:?}");
        }
        assert_eq!(Sheet::new([612.0, 792.0, 0.0, 0.0], 0).shown(), (612.0, 792.0));
    }
}
