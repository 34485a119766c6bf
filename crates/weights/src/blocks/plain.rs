//! Unquantised values: f32, f16 and bf16, little-endian, at any alignment.

/// Widens little-endian f32 values; lengths must match (`bytes.len() == 4 * out.len()`).
pub fn decode_f32(bytes: &[u8], out: &mut [f32]) {
    super::decode_blocks::<4, 1>(bytes, out, |b, w| w[0] = f32::from_le_bytes(*b));
}

/// Widens IEEE half values; lengths must match (`bytes.len() == 2 * out.len()`).
pub fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    super::decode_blocks::<2, 1>(bytes, out, |b, w| w[0] = half::f16::from_le_bytes(*b).to_f32());
}

/// Widens bfloat16 values; lengths must match (`bytes.len() == 2 * out.len()`).
pub fn decode_bf16(bytes: &[u8], out: &mut [f32]) {
    super::decode_blocks::<2, 1>(bytes, out, |b, w| w[0] = half::bf16::from_le_bytes(*b).to_f32());
}
