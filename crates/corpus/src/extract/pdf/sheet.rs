//! A page's visible box and rotation: the one place that says where a point of the page's own space is seen. The
//! text's boxes and the page's image both come from here, so that they lie on each other.

/// The page box in user space and its rotation in quarter turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sheet {
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

    /// [`Sheet::place`] as the matrix `[a b c d e f]` of PDF: `(a·x + c·y + e, b·x + d·y + f)`.
    pub fn matrix(self) -> [f64; 6] {
        let [left, bottom] = [self.left, self.bottom].map(f64::from);
        let (right, top) = (left + f64::from(self.width), bottom + f64::from(self.height));
        match self.quarter {
            1 => [0.0, 1.0, 1.0, 0.0, -bottom, -left],
            2 => [-1.0, 0.0, 0.0, 1.0, right, -bottom],
            3 => [0.0, -1.0, -1.0, 0.0, top, right],
            _ => [1.0, 0.0, 0.0, -1.0, -left, top],
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
    fn the_matrix_is_the_placing_of_points() {
        for degrees in [0, 90, 180, 270, -90, 450] {
            let sheet = Sheet::new([30.0, 50.0, 430.0, 650.0], degrees);
            let [a, b, c, d, e, f] = sheet.matrix();
            for (x, y) in [(30.0_f32, 50.0_f32), (430.0, 650.0), (100.0, 200.0), (0.0, 700.0)] {
                let (u, v) = (f64::from(x), f64::from(y));
                let seen = ((a * u + c * v + e) as f32, (b * u + d * v + f) as f32);
                assert_eq!(seen, sheet.place(x, y), "{degrees} degrees, ({x}, {y})");
            }
        }
    }

    #[test]
    fn a_box_that_is_no_page_is_us_letter() {
        for corners in [[0.0; 4], [f32::NAN, 0.0, 9.0, 9.0], [0.0, 0.0, f32::INFINITY, 9.0]] {
            assert_eq!(Sheet::new(corners, 90).shown(), (792.0, 612.0), "{corners:?}");
        }
        assert_eq!(Sheet::new([612.0, 792.0, 0.0, 0.0], 0).shown(), (612.0, 792.0));
    }
}
