//! A placed character, the only thing the layout knows of a PDF backend. First stop of a page on its way to text.

/// Rectangle in points: `[x0, y0, x1, y1]`, origin top left, y downwards.
pub type Area = [f32; 4];

/// One character on the page as shown (page rotation applied).
#[derive(Debug, Clone, PartialEq)]
pub struct Glyph {
    pub text: char,
    /// Advance box on the page: ascent to descent, origin to origin + advance.
    pub area: Area,
    /// Direction of writing, in quarter turns clockwise from left-to-right.
    pub turn: u8,
    /// Baseline in the reading frame of `turn` (points, downwards).
    pub base: f32,
    /// Font size in points on the page.
    pub size: f32,
    /// Drawn in a typewriter font.
    pub mono: bool,
}

impl Glyph {
    /// The box in the reading frame: the page turned back so that the text runs left to right.
    /// The map is a pure rotation about the page origin, so frames of one turn are comparable.
    pub fn frame(&self) -> Area {
        turned(self.area, self.turn)
    }
}

/// `area` seen after turning the page back by `turn` quarter turns clockwise.
pub fn turned([x0, y0, x1, y1]: Area, turn: u8) -> Area {
    match turn % 4 {
        0 => [x0, y0, x1, y1],
        // Text running down the page: reading direction is +y, the next line is at smaller x.
        1 => [y0, -x1, y1, -x0],
        2 => [-x1, -y1, -x0, -y0],
        _ => [-y1, x0, -y0, x1],
    }
}
