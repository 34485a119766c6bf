//! Decoders against ggml's own results, bit for bit (fixture and generator in `fixtures/`).

use std::path::Path;

use super::*;
use crate::Model;

fn assert_vectors<const B: usize, const W: usize>(name: &str, decode: fn(&[u8; B], &mut [f32; W])) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ggml_dequant_vectors.safetensors");
    let model = Model::open(&path).unwrap();
    let blocks = model.tensor(&format!("{name}.bytes")).unwrap();
    let expected = model.tensor(&format!("{name}.f32")).unwrap().dequantise().unwrap();
    assert_eq!(blocks.shape, [16, B as u64]);
    let mut got = vec![0.0; 16 * W];
    decode_blocks(blocks.bytes, &mut got, decode);
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(got.to_bits(), expected.to_bits(), "{name} weight {i}: {got} for {expected}");
    }
    assert_eq!(got.len(), expected.len());
}

#[test]
fn ggml_types_decode_bit_for_bit() {
    assert_vectors("Q4_0", q4_0::decode);
    assert_vectors("Q4_1", q4_1::decode);
    assert_vectors("Q8_0", q8_0::decode);
    assert_vectors("Q4_K", q4_k::decode);
    assert_vectors("Q5_K", q5_k::decode);
    assert_vectors("Q6_K", q6_k::decode);
}

#[test]
fn plain_types_widen_exactly() {
    let mut out = [0.0; 2];
    decode_f32(&[0, 0, 128, 63, 0, 0, 0, 192], &mut out);
    assert_eq!(out, [1.0, -2.0]);
    decode_f16(&[0x00, 0x3c, 0x01, 0x00], &mut out);
    assert_eq!(out, [1.0, 2f32.powi(-24)]);
    decode_bf16(&[0x80, 0x3f, 0x49, 0xc0], &mut out);
    assert_eq!(out, [1.0, -3.140625]);
}

#[test]
fn int4_words_hold_the_low_nibble_first() {
    let word = 0x7654_3210u32.to_le_bytes();
    assert_eq!(int4::unpack(&word), [0, 1, 2, 3, 4, 5, 6, 7]);
    let mut row = [0.0; 5];
    let affine = |group| [(1.0, 8), (10.0, 2), (100.0, 15)][group as usize];
    int4::decode_row(&word, |col| col as u64 / 2, affine, &mut row);
    assert_eq!(row, [-8.0, -7.0, 0.0, 10.0, -1100.0]);
}
