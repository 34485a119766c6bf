//! Every weight type as groups of 32 in one affine form, `w = d · code + m` with u8 codes.
//!
//! Q4_0, Q4_1, Q8_0, Q4_K, Q5_K and int4 keep their codes. Plain floats, Q6_K (which has scales by 16) and int4 whose
//! activation order mixes scales within 32 columns are rounded to 256 levels between the group's smallest and largest
//! weight: off by at most (largest − smallest) / 510.

use weights::{DType, Tensor, blocks};

use super::matrix::GROUP;
use crate::{Error, Result};

/// 32 weights of a row.
pub(super) struct Group {
    pub(super) d: f32,
    pub(super) m: f32,
    pub(super) codes: [u8; GROUP],
}

impl Group {
    /// `w = d · (code − zero)`.
    fn centred(d: f32, zero: u8, codes: [i8; GROUP]) -> Self {
        Self { d, m: -f32::from(zero) * d, codes: codes.map(|q| (i16::from(q) + i16::from(zero)) as u8) }
    }

    /// 256 levels over the range of `weights`.
    fn rounded(weights: &[f32]) -> Self {
        let min = weights.iter().copied().fold(f32::INFINITY, f32::min);
        let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let d = ((f64::from(max) - f64::from(min)) / 255.0) as f32;
        let code =
            |w: f32| if d == 0.0 { 0.0 } else { ((f64::from(w) - f64::from(min)) / f64::from(d)).round() };
        // A NaN weight spoils neither bound, so it is made to spoil the offset.
        let m = if weights.iter().all(|w| w.is_finite()) { min } else { f32::NAN };
        Self { d, m, codes: std::array::from_fn(|k| code(weights[k]).clamp(0.0, 255.0) as u8) }
    }
}

/// Whether all codes of the tensor are below 16 and groups do not straddle scales.
pub(super) fn fits_nibbles(tensor: &Tensor<'_>) -> bool {
    match tensor.dtype {
        DType::Q4_0 | DType::Q4_1 | DType::Q4K => true,
        DType::PackedInt4 { group_size } => {
            group_size.is_multiple_of(GROUP as u64) && groups_share_scales(tensor, group_size)
        }
        _ => false,
    }
}

/// Whether the columns of every group of 32 have one scale: activation order may have given each its own.
fn groups_share_scales(tensor: &Tensor<'_>, group_size: u64) -> bool {
    let Some(scales) = tensor.scales.filter(|scales| scales.g_idx.is_some()) else { return true };
    let of = |col| scales.group_of(col, group_size);
    (0..tensor.cols()).all(|col| of(col) == of(col - col % GROUP as u64))
}

/// The groups of one row.
///
/// # Errors
/// When the tensor cannot be read or a weight is not finite.
pub(super) fn row_groups(tensor: &Tensor<'_>, row: u64) -> Result<Vec<Group>> {
    let bytes = tensor.row_bytes(row)?;
    let groups: Vec<Group> = match tensor.dtype {
        DType::Q4_0 => blocks_of(bytes, |block| {
            let (d, codes) = blocks::q4_0::unpack(block);
            Group::centred(d, 8, codes)
        }),
        DType::Q4_1 => blocks_of(bytes, |block| {
            let (d, m, codes) = blocks::q4_1::unpack(block);
            Group { d, m, codes }
        }),
        DType::Q8_0 => blocks_of(bytes, |block| {
            let (d, codes) = blocks::q8_0::unpack(block);
            Group::centred(d, 128, codes)
        }),
        DType::Q4K => {
            bytes.as_chunks().0.iter().flat_map(|b| of_super_block(&blocks::q4_k::unpack(b))).collect()
        }
        DType::Q5K => {
            bytes.as_chunks().0.iter().flat_map(|b| of_super_block(&blocks::q5_k::unpack(b))).collect()
        }
        DType::PackedInt4 { group_size } if fits_nibbles(tensor) => {
            packed_int4(tensor, row, bytes, group_size)
        }
        _ => {
            let mut weights = vec![0.0; tensor.cols() as usize];
            tensor.dequantise_row(row, &mut weights)?;
            weights.chunks_exact(GROUP).map(Group::rounded).collect()
        }
    };
    if groups.iter().any(|group| !group.d.is_finite() || !group.m.is_finite()) {
        return Err(Error::NotFinite { name: tensor.name.to_owned(), row: row as usize });
    }
    Ok(groups)
}

fn blocks_of<const B: usize>(bytes: &[u8], group: impl Fn(&[u8; B]) -> Group) -> Vec<Group> {
    bytes.as_chunks::<B>().0.iter().map(group).collect()
}

fn of_super_block(block: &blocks::q4_k::Unpacked) -> [Group; 8] {
    std::array::from_fn(|j| Group {
        d: block.scales[j],
        m: -block.mins[j],
        codes: std::array::from_fn(|k| block.codes[GROUP * j + k]),
    })
}

/// The affine form of `w = d · (code − zero)`, whose zero point differs from group to group.
fn packed_int4(tensor: &Tensor<'_>, row: u64, bytes: &[u8], group_size: u64) -> Vec<Group> {
    let words = bytes.as_chunks::<4>().0;
    let group = |(at, words): (usize, &[[u8; 4]])| {
        let mut codes = [0; GROUP];
        for (codes, word) in codes.chunks_exact_mut(8).zip(words) {
            codes.copy_from_slice(&blocks::int4::unpack(word));
        }
        let (d, zero) = tensor.scales.map_or((0.0, 0), |scales| {
            let of = scales.group_of((at * GROUP) as u64, group_size);
            (scales.get(row, of), scales.zero_point(row, of))
        });
        Group { d, m: -f32::from(zero) * d, codes }
    };
    words.chunks_exact(GROUP / 8).enumerate().map(group).collect()
}
