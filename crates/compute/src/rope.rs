//! Rotary position tables: cosines and sines of every angle a head needs, computed once per model.

use std::borrow::Cow;

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

/// Cosine and sine of `position × inv_freq[i]`, each `[n_pos, head_dim / 2]`, so that the angles of a position lie
/// together.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// Radians per position, `[head_dim / 2]`.
    inv_freq: Vec<f64>,
    cos: Vec<f32>,
    sin: Vec<f32>,
    n_pos: usize,
    periodic: bool,
}

/// How far the angles of one position are turned, each `[head_dim / 2]`.
#[derive(Clone, Debug)]
pub struct Angles<'a> {
    pub cos: Cow<'a, [f32]>,
    pub sin: Cow<'a, [f32]>,
}

impl RopeTable {
    /// Table for positions `0..max_pos`; later ones are computed whenever they are asked for. `inv_freq` is
    /// `[head_dim / 2]` in radians per position. Angles are formed and reduced in f64, then rounded to f32 once.
    pub fn new(inv_freq: &[f64], max_pos: usize) -> Self {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for pos in 0..max_pos as u64 {
            let (of_cos, of_sin) = turn(inv_freq, pos);
            cos.extend(of_cos);
            sin.extend(of_sin);
        }
        Self { inv_freq: inv_freq.to_vec(), cos, sin, n_pos: max_pos, periodic: false }
    }

    /// Table for layers whose reach is one attention chunk of `period` positions: position `p` is turned
    /// as `p % period`. Rotation is relative, so scores inside a chunk do not change, and positions have no end.
    pub fn periodic(inv_freq: &[f64], period: usize) -> Self {
        Self { periodic: true, ..Self::new(inv_freq, period) }
    }

    /// Angles per head: `head_dim / 2`.
    pub fn n_freqs(&self) -> usize {
        self.inv_freq.len()
    }

    /// Whether positions are turned as if every period began anew: then keys cannot be moved.
    pub fn is_periodic(&self) -> bool {
        self.periodic
    }

    /// The angles of a position.
    #[inline]
    pub fn angles(&self, pos: u64) -> Angles<'_> {
        let pos = if self.periodic { pos % self.n_pos as u64 } else { pos };
        if pos < self.n_pos as u64 {
            let of = pos as usize * self.n_freqs()..(pos as usize + 1) * self.n_freqs();
            return Angles { cos: Cow::Borrowed(&self.cos[of.clone()]), sin: Cow::Borrowed(&self.sin[of]) };
        }
        let (cos, sin) = turn(&self.inv_freq, pos);
        Angles { cos: Cow::Owned(cos), sin: Cow::Owned(sin) }
    }
}

fn turn(inv_freq: &[f64], pos: u64) -> (Vec<f32>, Vec<f32>) {
    inv_freq
        .iter()
        .map(|freq| {
            let (sin, cos) = (pos as f64 * freq).sin_cos();
            (cos as f32, sin as f32)
        })
        .unzip()
}
