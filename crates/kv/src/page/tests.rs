use proptest::prelude::*;

use super::*;

/// Two groups of key scales, the second of three dimensions.
const SHAPE: PageShape = PageShape { n_kv_heads: 3, head_dim: 35 };
const DTYPES: [Dtype; 4] = [Dtype::F32, Dtype::Bf16, Dtype::Int8, Dtype::K6V4];

fn row(seed: u32) -> Vec<f32> {
    (0..SHAPE.row_values() as u32)
        .map(|i| (seed.wrapping_mul(2_654_435_761).wrapping_add(i * 40_503) % 2_001) as f32 / 500.0 - 2.0)
        .collect()
}

/// The codec written the slow way, in f64: what a stored value may be off by.
fn reference_int8(row: &[f32]) -> (f32, Vec<f64>) {
    let absmax = row.iter().map(|x| f64::from(x.abs())).fold(0.0, f64::max);
    let scale = (absmax / 127.0) as f32;
    let codes = row.iter().map(|&x| if scale == 0.0 { 0.0 } else { f64::from(x) / f64::from(scale) });
    (scale, codes.collect())
}

#[test]
fn bytes_per_page_are_those_of_the_layout() {
    let smollm2 = PageShape { n_kv_heads: 3, head_dim: 64 };
    assert_eq!(smollm2.page_bytes(Dtype::Int8), 2 * 3 * 64 * 64 + 3 * 3 * 64 * 4);
    assert_eq!(smollm2.page_bytes(Dtype::K6V4), 3 * 64 * (48 + 4 + 32 + 4));
    assert_eq!(smollm2.page_bytes(Dtype::Bf16), 2 * 3 * 64 * 64 * 2);
    assert_eq!(smollm2.page_bytes(Dtype::F32), 2 * 3 * 64 * 64 * 4);
    // Scout: 25.875 KiB per token in 12 stored layers.
    let scout = PageShape { n_kv_heads: 8, head_dim: 128 };
    assert_eq!(12 * scout.page_bytes(Dtype::Int8) / PAGE_TOKENS, 25 * 1024 + 896);
}

#[test]
fn a_page_is_aligned_and_zero() {
    for dtype in DTYPES {
        let page = PageBuf::new(SHAPE, dtype);
        assert_eq!(page.as_bytes().as_ptr() as usize % 64, 0);
        assert_eq!(page.as_bytes().len(), SHAPE.page_bytes(dtype));
        assert!(page.is_zero_from(0) && page.is_well_formed());
    }
}

#[test]
fn sections_lie_where_the_format_says() {
    let mut page = PageBuf::new(SHAPE, Dtype::Int8);
    let (k, v) = (row(1), row(2));
    page.write_row(9, &k, &v).unwrap();
    let bytes = page.as_bytes();
    let (heads, dims) = (SHAPE.n_kv_heads, SHAPE.head_dim);
    // Nine words of four dimensions hold 35.
    let (k_scales, v_codes) = (heads * 36 * 64, heads * 36 * 64 + heads * 2 * 64 * 4);
    let v_scales = v_codes + heads * dims * 64;
    for head in 0..heads {
        let of_group = |group: usize| {
            reference_int8(&k[head * dims..][..dims][32 * group..(32 * group + 32).min(dims)]).0
        };
        let of_groups = [of_group(0), of_group(1)];
        let (v_scale, _) = reference_int8(&v[head * dims..][..dims]);
        for (group, scale) in of_groups.iter().enumerate() {
            assert_eq!(bytes[k_scales + ((head * 2 + group) * 64 + 9) * 4..][..4], scale.to_le_bytes());
        }
        assert_eq!(bytes[v_scales + (head * 64 + 9) * 4..][..4], v_scale.to_le_bytes());
        for dim in 0..dims {
            let key = (k[head * dims + dim] / of_groups[dim / 32]).round_ties_even() as i8;
            let value = (v[head * dims + dim] / v_scale).round_ties_even() as i8;
            assert_eq!(bytes[head * 36 * 64 + (dim / 4 * 64 + 9) * 4 + dim % 4], key as u8);
            // Slot 9 is the second of the third four.
            assert_eq!(bytes[v_codes + head * dims * 64 + (2 * dims + dim) * 4 + 1], value as u8);
        }
    }
    let used = bytes.iter().filter(|&&byte| byte != 0).count();
    assert!(used <= heads * (2 * dims + 12), "{used} bytes changed by one row");
}

#[test]
fn codes_round_half_to_even() {
    // With an absmax of 127 the scale is 1, so the codes are the values rounded.
    let k = [127.0, 0.5, 1.5, 2.5, -0.5];
    let shape = PageShape { n_kv_heads: 1, head_dim: 5 };
    let mut page = PageBuf::new(shape, Dtype::Int8);
    page.write_row(0, &k, &[-127.0, -1.5, -2.5, 126.5, 125.5]).unwrap();
    let keys = page.k_codes(0);
    assert_eq!((&keys[..4], keys[4 * 64]), (&[127, 0, 2, 2][..], 0));
    let values: Vec<i8> = page.v_codes(0).iter().step_by(4).take(5).copied().collect();
    assert_eq!(values, [-127, -2, -2, 126, 126]);
    assert_eq!((page.k_scales(0)[0], page.v_scales(0)[0]), (1.0, 1.0));
}

#[test]
fn a_zero_or_vanishing_row_has_scale_zero() {
    let shape = PageShape { n_kv_heads: 1, head_dim: 2 };
    let mut page = PageBuf::new(shape, Dtype::Int8);
    page.write_row(3, &[1.0, 2.0], &[3.0, 4.0]).unwrap();
    page.write_row(3, &[0.0, -0.0], &[1e-45, -1e-45]).unwrap();
    assert!(page.is_zero_from(0), "the slot's old row is gone");
}

#[test]
fn the_largest_and_smallest_floats_survive() {
    let shape = PageShape { n_kv_heads: 1, head_dim: 2 };
    let mut page = PageBuf::new(shape, Dtype::Int8);
    // A subnormal scale is coarse: the quotient oversteps 127 and is kept at it.
    page.write_row(0, &[f32::MAX, -f32::MAX], &[1.8e-43, -1.8e-43]).unwrap();
    assert_eq!(page.k_codes(0)[..2], [127, -127]);
    assert_eq!((page.v_codes(0)[0], page.v_codes(0)[4]), (127, -127));
    assert!(page.is_well_formed());
}

#[test]
fn what_is_not_finite_is_refused_and_changes_nothing() {
    for dtype in DTYPES {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut page = PageBuf::new(SHAPE, dtype);
            page.write_row(0, &row(1), &row(2)).unwrap();
            let before = page.clone();
            let mut v = row(4);
            v[SHAPE.head_dim + 2] = bad;
            let error = page.write_row(0, &row(3), &v).unwrap_err();
            assert!(matches!(error, KvError::NotFinite { row: "value", head: 1, dim: 2, .. }), "{error}");
            assert!(page.write_row(0, &v, &row(3)).is_err());
            assert_eq!(page, before);
        }
    }
    let mut page = PageBuf::new(PageShape { n_kv_heads: 1, head_dim: 1 }, Dtype::Bf16);
    assert!(page.write_row(0, &[f32::MAX], &[0.0]).is_err(), "rounds to infinity in bf16");
}

#[test]
fn unused_slots_are_seen_wherever_they_are_dirty() {
    for dtype in DTYPES {
        let clean = PageBuf::new(SHAPE, dtype);
        for at in 0..clean.as_bytes().len() {
            let mut page = clean.clone();
            page.as_bytes_mut()[at] = 1;
            assert!(!page.is_zero_from(0), "byte {at} of {}", dtype.name());
        }
        let mut page = clean;
        page.write_row(20, &row(1), &row(2)).unwrap();
        assert!(page.is_zero_from(21) && !page.is_zero_from(20));
    }
}

#[test]
fn strangers_numbers_are_seen() {
    for dtype in DTYPES {
        let mut bytes = PageBuf::new(SHAPE, dtype).as_bytes().to_vec();
        let end = bytes.len();
        match dtype {
            Dtype::F32 | Dtype::Int8 | Dtype::K6V4 => {
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes())
            }
            Dtype::Bf16 => bytes[end - 2..].copy_from_slice(&bf16::INFINITY.to_le_bytes()),
        }
        assert!(!PageBuf::from_bytes(SHAPE, dtype, &bytes).unwrap().is_well_formed());
    }
    let mut bytes = PageBuf::new(SHAPE, Dtype::Int8).as_bytes().to_vec();
    bytes[0] = 0x80;
    assert!(!PageBuf::from_bytes(SHAPE, Dtype::Int8, &bytes).unwrap().is_well_formed(), "code -128");
}

#[test]
fn a_wrong_number_of_bytes_is_refused() {
    let expected = SHAPE.page_bytes(Dtype::Int8);
    for got in [0, expected - 1, expected + 1] {
        let error = PageBuf::from_bytes(SHAPE, Dtype::Int8, &vec![0; got]).unwrap_err();
        assert!(matches!(error, KvError::PageLength { .. }), "{error}");
    }
}

/// The transform by its definition: entry (i, j) is 1 / √n, negative where i and j share an odd number of bits.
fn reference_hadamard(x: &[f32]) -> Vec<f64> {
    let sign = |i: usize, j: usize| if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
    let sum = |i| x.iter().enumerate().map(|(j, &x)| sign(i, j) * f64::from(x)).sum::<f64>();
    (0..x.len()).map(|i| sum(i) / (x.len() as f64).sqrt()).collect()
}

#[test]
fn the_transform_is_that_of_its_definition_in_blocks() {
    let x: Vec<f32> = (0..96).map(|i| (i * 37 % 101) as f32 / 10.0 - 5.0).collect();
    for (len, block) in [(1, 1), (2, 2), (64, 64), (96, 32), (35, 1), (80, 16)] {
        let mut got = x[..len].to_vec();
        hadamard(&mut got);
        for (got, x) in got.chunks(block).zip(x[..len].chunks(block)) {
            for (got, right) in got.iter().zip(reference_hadamard(x)) {
                assert!((f64::from(*got) - right).abs() < 1e-5, "{got} {right} of {len}");
            }
        }
        hadamard(&mut got);
        assert!(got.iter().zip(&x).all(|(back, x)| (back - x).abs() < 1e-5), "its own inverse");
    }
}

/// Key and value of one head, whose bytes are written out by the format's words.
#[test]
fn packed_codes_lie_where_the_format_says() {
    // Their codes lie in each of a run's four quarters.
    for slot in [5, 21, 37, 53] {
        packed_codes_of(slot);
    }
}

fn packed_codes_of(slot: usize) {
    let shape = PageShape { n_kv_heads: 2, head_dim: 6 };
    let mut page = PageBuf::new(shape, Dtype::K6V4);
    // A transform in blocks of two: (a, b) becomes (a + b, a − b) / √2.
    let row = |x: [f32; 6]| [[0.0; 6], x].concat();
    let (k, v) = (row([31.0, 0.0, 7.0, -2.0, 0.0, 1.0]), row([7.0, 0.0, 1.0, 2.0, 0.0, -3.0]));
    page.write_row(slot, &k, &v).unwrap();
    let root = std::f32::consts::SQRT_2;
    let k_codes = [31i8, 31, 5, 9, 1, -1].map(|code| code as u8);
    let v_codes = [7i8, 7, 3, -1, -3, 3].map(|code| code as u8);
    let near = |got: f32, right: f32| (got / right - 1.0).abs() < 1e-6;
    assert!(near(page.k_scales(1)[slot], 1.0 / root) && near(page.v_scales(1)[slot], 1.0 / root));
    let (keys, values) = (page.k_packed(1), page.v_packed(1));
    for dim in 0..6 {
        let of_run = slot * 4 + dim % 4;
        let run = &keys[dim / 4 * 192..][..192];
        let low = run[of_run % 128] >> (of_run / 128 * 4) & 15;
        let high = run[128 + of_run % 64] >> (of_run / 64 * 2) & 3;
        assert_eq!(low | high << 4, k_codes[dim] & 63, "key {dim}");
        let of_run = dim * 4 + slot % 4;
        let run = &values[slot / 4 * 12..][..12];
        assert_eq!(run[of_run % 12] >> (of_run / 12 * 4) & 15, v_codes[dim] & 15, "value {dim}");
    }
    assert!(page.k_packed(0).iter().chain(page.v_packed(0)).all(|&byte| byte == 0));
}

#[test]
fn k6v4_takes_magnitudes_whose_transform_is_finite() {
    let shape = PageShape { n_kv_heads: 1, head_dim: 64 };
    let mut page = PageBuf::new(shape, Dtype::K6V4);
    let largest = [f32::MAX / 64.0; 64];
    page.write_row(0, &largest, &largest).unwrap();
    assert!(page.is_well_formed());
    for (k, v) in [([f32::MAX; 64], largest), (largest, [f32::MAX; 64])] {
        let error = page.write_row(1, &k, &v).unwrap_err().to_string();
        assert!(error.contains("k6v4") && error.contains("too large"), "{error}");
    }
}

fn any_row() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![-1e3f32..1e3, -1e-3f32..1e-3, Just(0.0f32), -1e30f32..1e30];
    prop::collection::vec(value, SHAPE.row_values())
}

proptest! {
    #[test]
    fn int8_rows_come_back_within_half_a_step(k in any_row(), v in any_row(), slot in 0..PAGE_TOKENS) {
        let mut page = PageBuf::new(SHAPE, Dtype::Int8);
        page.write_row(slot, &k, &v).unwrap();
        let (mut k_back, mut v_back) = (vec![0.0; k.len()], vec![0.0; v.len()]);
        page.read_row(slot, &mut k_back, &mut v_back);
        for (wrote, read, group) in [(&k, &k_back, KEY_GROUP), (&v, &v_back, SHAPE.head_dim)] {
            let heads = wrote.chunks(SHAPE.head_dim).zip(read.chunks(SHAPE.head_dim));
            for (wrote, read) in heads.flat_map(|(wrote, read)| wrote.chunks(group).zip(read.chunks(group))) {
                let (scale, codes) = reference_int8(wrote);
                for (code, read) in codes.iter().zip(read) {
                    // f32 division may move a quotient next to a half over it.
                    let off = (f64::from(*read) - code * f64::from(scale)).abs();
                    prop_assert!(off <= f64::from(scale) * 0.500_02, "off by {} steps", off / f64::from(scale));
                }
            }
        }
    }

    #[test]
    fn k6v4_rows_come_back_within_half_a_step_of_their_basis(
        k in any_row(), v in any_row(), slot in 0..PAGE_TOKENS,
    ) {
        // Transforms in blocks of 4.
        let shape = PageShape { n_kv_heads: 3, head_dim: 36 };
        let wide = |row: &[f32]| -> Vec<f32> { row.iter().copied().cycle().take(shape.row_values()).collect() };
        let (k, v) = (wide(&k), wide(&v));
        let mut page = PageBuf::new(shape, Dtype::K6V4);
        page.write_row(slot, &k, &v).unwrap();
        let (mut k_back, mut v_back) = (vec![0.0; k.len()], vec![0.0; v.len()]);
        page.read_row(slot, &mut k_back, &mut v_back);
        // A value's smallest scale cuts its largest numbers at 7 of the steps of 0.8: at most 1.4 whole steps are lost.
        for (wrote, read, half, steps) in [(&k, &k_back, 31.0, 0.501), (&v, &v_back, 7.0, 1.41)] {
            for (wrote, read) in wrote.chunks(36).zip(read.chunks(36)) {
                let basis = |x: &[f32]| x.chunks(4).flat_map(reference_hadamard).collect::<Vec<_>>();
                let (wrote, read) = (basis(wrote), basis(read));
                let step = wrote.iter().fold(0.0f64, |max, x| max.max(x.abs())) / half;
                for (wrote, read) in wrote.iter().zip(&read) {
                    let off = (wrote - read).abs();
                    prop_assert!(off <= step * steps + 1e-6 * half * step, "off by {} steps", off / step);
                }
            }
        }
    }

    #[test]
    fn f32_rows_come_back_exactly_and_bf16_rows_rounded(k in any_row(), v in any_row(), slot in 0..PAGE_TOKENS) {
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let mut page = PageBuf::new(SHAPE, dtype);
            page.write_row(slot, &k, &v).unwrap();
            let (mut k_back, mut v_back) = (vec![0.0; k.len()], vec![0.0; v.len()]);
            page.read_row(slot, &mut k_back, &mut v_back);
            let stored = |x: &f32| if dtype == Dtype::F32 { *x } else { bf16::from_f32(*x).to_f32() };
            prop_assert_eq!(k.iter().map(stored).collect::<Vec<_>>(), k_back);
            prop_assert_eq!(v.iter().map(stored).collect::<Vec<_>>(), v_back);
        }
    }

    #[test]
    fn a_row_depends_on_itself_alone(
        k in any_row(), v in any_row(), other in any_row(), slot in 0..PAGE_TOKENS, neighbour in 0..PAGE_TOKENS,
    ) {
        prop_assume!(slot != neighbour);
        for dtype in DTYPES {
            let mut alone = PageBuf::new(SHAPE, dtype);
            alone.write_row(slot, &k, &v).unwrap();
            let mut crowded = PageBuf::new(SHAPE, dtype);
            crowded.write_row(slot, &other, &other).unwrap();
            crowded.write_row(slot, &k, &v).unwrap();
            crowded.write_row(neighbour, &other, &other).unwrap();
            let read = |page: &PageBuf| {
                let (mut k, mut v) = (vec![0.0; k.len()], vec![0.0; v.len()]);
                page.read_row(slot, &mut k, &mut v);
                (k, v)
            };
            prop_assert_eq!(read(&alone), read(&crowded));
            let copy = PageBuf::from_bytes(SHAPE, dtype, crowded.as_bytes()).unwrap();
            prop_assert!(copy == crowded && copy.is_well_formed());
        }
    }
}
