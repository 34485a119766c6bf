//! Rotary position tables: cosines and sines of every angle a head needs, computed once per model.

/// Which two components of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// Components `(2i, 2i + 1)`: GGUF `llama` files and Llama 4.
    Interleaved,
    /// Components `(i, i + head_dim / 2)`: Hugging Face `llama` checkpoints.
    Half,
}

impl Pairing {
    /// The two components that angle `i` of a head of `head_dim` components turns.
    #[inline]
    pub fn pair(self, i: usize, head_dim: usize) -> (usize, usize) {
        match self {
            Pairing::Interleaved => (2 * i, 2 * i + 1),
            Pairing::Half => (i, i + head_dim / 2),
        }
    }
}

/// Cosine and sine of `position × inv_freq[i]`, each `[head_dim / 2, n_pos]` with the position fastest,
/// so that the 64 positions of a KV page are one contiguous run per angle.
#[derive(Clone, Debug)]
pub struct RopeTable {
    cos: Vec<f32>,
    sin: Vec<f32>,
    n_freqs: usize,
    n_pos: usize,
    periodic: bool,
}

impl RopeTable {
    /// Table for positions `0..max_pos`; `inv_freq` is `[head_dim / 2]` in radians per position.
    /// Angles are formed and reduced in f64, then rounded to f32 once.
    pub fn new(inv_freq: &[f64], max_pos: usize) -> Self {
        let n_freqs = inv_freq.len();
        let mut cos = Vec::with_capacity(n_freqs * max_pos);
        let mut sin = Vec::with_capacity(n_freqs * max_pos);
        for &freq in inv_freq {
            for pos in 0..max_pos {
                let (s, c) = (pos as f64 * freq).sin_cos();
                cos.push(c as f32);
                sin.push(s as f32);
            }
        }
        Self { cos, sin, n_freqs, n_pos: max_pos, periodic: false }
    }

    /// Table for layers whose reach is one attention chunk of `period` positions: position `p` is turned
    /// as `p % period`. Rotation is relative, so scores inside a chunk do not change, and positions have no end.
    pub fn periodic(inv_freq: &[f64], period: usize) -> Self {
        Self { periodic: true, ..Self::new(inv_freq, period) }
    }

    /// Angles per head: `head_dim / 2`.
    pub fn n_freqs(&self) -> usize {
        self.n_freqs
    }

    /// Positions the table holds (its period when periodic).
    pub fn n_pos(&self) -> usize {
        self.n_pos
    }

    /// Column of position `pos`, or `None` past the end of a table that is not periodic.
    #[inline]
    pub fn column(&self, pos: u64) -> Option<usize> {
        let n_pos = self.n_pos as u64;
        let pos = if self.periodic { pos % n_pos } else { pos };
        (pos < n_pos).then_some(pos as usize)
    }

    /// `(cos, sin)` of angle `i` at table column `column`.
    #[inline]
    pub fn angle(&self, i: usize, column: usize) -> (f32, f32) {
        let at = i * self.n_pos + column;
        (self.cos[at], self.sin[at])
    }

    /// Cosines `[n_freqs, n_pos]`.
    pub fn cos(&self) -> &[f32] {
        &self.cos
    }

    /// Sines `[n_freqs, n_pos]`.
    pub fn sin(&self) -> &[f32] {
        &self.sin
    }

    /// Column of a query position.
    ///
    /// # Panics
    /// When the position lies outside the table: the caller admits no sequence longer than its table.
    #[inline]
    pub(crate) fn query_column(&self, pos: u64) -> usize {
        self.column(pos)
            .unwrap_or_else(|| panic!("position {pos} is outside a rope table of {} positions", self.n_pos))
    }
}
