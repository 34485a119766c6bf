//! Types of tensors: how many bytes a run of values takes, and which decoder reads it.

use std::fmt;

/// Names of the types that can be decoded, for error messages.
pub(crate) const SUPPORTED: &str = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K, Q6_K (GGUF), and F32, F16, BF16, pack-quantized int4 (safetensors)";

/// Type of a tensor's stored values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    F32,
    F16,
    BF16,
    /// 32 weights: f16 scale, 32 i8.
    Q8_0,
    /// 32 weights: f16 scale, 32 4-bit codes around 8.
    Q4_0,
    /// 32 weights: f16 scale, f16 minimum, 32 4-bit codes.
    Q4_1,
    /// 256 weights: 8 sub-blocks with 6-bit scale and minimum, 4-bit codes.
    Q4K,
    /// 256 weights: 8 sub-blocks with 6-bit scale and minimum, 5-bit codes.
    Q5K,
    /// 256 weights: 16 sub-blocks with 8-bit scale, 6-bit codes around 32.
    Q6K,
    /// compressed-tensors `pack-quantized`: 4-bit codes, eight to an i32, in groups of `group_size` columns of a row.
    /// Scales, zero points and the group of each column lie in tensors of their own ([`crate::GroupScales`]).
    PackedInt4 {
        group_size: u64,
    },
    /// Integers: stored beside weights (token ids, shapes), lent as bytes, not decoded.
    U8,
    I32,
    I64,
}

impl DType {
    /// Weights in one block; rows are whole blocks (1 for plain types, 8 for `PackedInt4`, whose last word may be
    /// partly unused).
    pub const fn block_len(self) -> u64 {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
            Self::PackedInt4 { .. } => 8,
            _ => 1,
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> u64 {
        match self {
            Self::F32 | Self::I32 | Self::PackedInt4 { .. } => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 => 1,
            Self::I64 => 8,
            Self::Q8_0 => crate::blocks::q8_0::BYTES as u64,
            Self::Q4_0 => crate::blocks::q4_0::BYTES as u64,
            Self::Q4_1 => crate::blocks::q4_1::BYTES as u64,
            Self::Q4K => crate::blocks::q4_k::BYTES as u64,
            Self::Q5K => crate::blocks::q5_k::BYTES as u64,
            Self::Q6K => crate::blocks::q6_k::BYTES as u64,
        }
    }

    /// Bytes of a row of `cols` values; `None` where `cols` is not a whole number of blocks or the size overflows.
    pub fn row_bytes(self, cols: u64) -> Option<u64> {
        let blocks = match self {
            Self::PackedInt4 { .. } => cols.div_ceil(8),
            _ if cols.is_multiple_of(self.block_len()) => cols / self.block_len(),
            _ => return None,
        };
        blocks.checked_mul(self.block_bytes())
    }

    /// Short name, as the formats write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::PackedInt4 { .. } => "pack-quantized int4",
            Self::U8 => "U8",
            Self::I32 => "I32",
            Self::I64 => "I64",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
