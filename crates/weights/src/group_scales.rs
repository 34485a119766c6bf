//! What turns the codes of a packed int4 tensor into weights: a scale and a zero point per group of columns of a row.

use crate::DType;

/// Scales, zero points and column order of a [`DType::PackedInt4`] tensor of `rows` × `cols`:
/// `w[r, c] = (nibble[r, c] − zero_point(r, g)) · get(r, g)` with `g = group_of(c)`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GroupScales<'a> {
    /// F32, F16 or BF16.
    pub dtype: DType,
    /// Scales `[rows, groups]`.
    pub bytes: &'a [u8],
    /// Groups of a row, `cols / group_size`.
    pub groups: u64,
    /// Zero points, little-endian i32 `[ceil(rows / 8), groups]`: row `r` is nibble `r % 8` of word `r / 8`, low first.
    /// `None`: symmetric weights.
    pub zero_points: Option<&'a [u8]>,
    /// Group of each column, little-endian i32 `[cols]`; each group occurs `group_size` times. `None`: columns are in the
    /// order of the groups.
    pub g_idx: Option<&'a [u8]>,
}

impl GroupScales<'_> {
    /// The zero point of symmetric weights: the middle of the 16 codes.
    pub const SYMMETRIC_ZERO: u8 = 8;

    /// Scale of a group of a row; 0 outside the tensor.
    pub fn get(&self, row: u64, group: u64) -> f32 {
        let at = row.checked_mul(self.groups).and_then(|first| first.checked_add(group));
        match self.dtype {
            DType::F32 => at.and_then(|at| item(self.bytes, at)).map_or(0.0, f32::from_le_bytes),
            DType::F16 => {
                at.and_then(|at| item(self.bytes, at)).map_or(0.0, |b| half::f16::from_le_bytes(b).to_f32())
            }
            DType::BF16 => {
                at.and_then(|at| item(self.bytes, at)).map_or(0.0, |b| half::bf16::from_le_bytes(b).to_f32())
            }
            _ => 0.0,
        }
    }

    /// The code, 0..=15, that stands for weight 0 in a group of a row.
    pub fn zero_point(&self, row: u64, group: u64) -> u8 {
        let Some(words) = self.zero_points else { return Self::SYMMETRIC_ZERO };
        let at = (row / 8).checked_mul(self.groups).and_then(|first| first.checked_add(group));
        let word = at.and_then(|at| item(words, at)).map_or(0, u32::from_le_bytes);
        (word >> (4 * (row % 8)) & 15) as u8
    }

    /// Group of a column of a tensor with groups of `group_size` columns.
    pub fn group_of(&self, col: u64, group_size: u64) -> u64 {
        match self.g_idx {
            None => col / group_size.max(1),
            Some(g_idx) => item(g_idx, col).map_or(0, |group| u64::from(u32::from_le_bytes(group))),
        }
    }
}

/// Item `at` of an array of `N`-byte items.
fn item<const N: usize>(bytes: &[u8], at: u64) -> Option<[u8; N]> {
    let start = usize::try_from(at).ok()?.checked_mul(N)?;
    bytes.get(start..)?.first_chunk().copied()
}
