use std::io::Write;

use weights::testing::GgufWriter;
use weights::{DType, Model};

use super::acts::Term;
use super::matrix::GROUP;
use super::*;
use crate::{KvBlock, PAGE_LEN, Reference};

const DTYPES: [DType; 9] = [
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::Q8_0,
    DType::Q4_0,
    DType::Q4_1,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
];

/// A small generator (xorshift), so that every test sees the same numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in −1..1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn rows(&mut self, n_rows: usize, width: usize) -> Rows {
        // A few outliers, as real activations have.
        let value = |_| if self.next().is_multiple_of(50) { 20.0 * self.unit() } else { self.unit() };
        Rows::from_vec((0..n_rows * width).map(value).collect(), width)
    }

    /// Valid bytes of `[rows, cols]` weights of a type: random codes, small scales.
    fn tensor(&mut self, dtype: DType, rows: usize, cols: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..(rows * cols) as u64 / dtype.block_len() {
            let mut block: Vec<u8> = (0..dtype.block_bytes()).map(|_| self.next() as u8).collect();
            let scale_at: &[usize] = match dtype {
                DType::Q8_0 | DType::Q4_0 => &[0],
                DType::Q4_1 | DType::Q4K | DType::Q5K => &[0, 2],
                DType::Q6K => &[208],
                DType::F32 => {
                    block = self.unit().to_le_bytes().to_vec();
                    &[]
                }
                DType::BF16 => {
                    block = half::bf16::from_f32(self.unit()).to_le_bytes().to_vec();
                    &[]
                }
                _ => &[0],
            };
            for &at in scale_at {
                block[at..at + 2].copy_from_slice(&half::f16::from_f32(self.unit() * 0.1).to_le_bytes());
            }
            bytes.extend(block);
        }
        bytes
    }
}

/// A model of random matrices `[out, cols]` named `0`, `1`, ….
fn model(shapes: &[(DType, usize, usize)]) -> Model {
    let mut random = Random(7);
    let mut writer = GgufWriter::new();
    for (at, &(dtype, rows, cols)) in shapes.iter().enumerate() {
        let bytes = random.tensor(dtype, rows, cols);
        writer = writer.tensor(&at.to_string(), dtype, &[rows as u64, cols as u64], &bytes);
    }
    let mut file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    file.write_all(&writer.to_bytes()).unwrap();
    Model::open(file.path()).unwrap()
}

fn all() -> Vec<Int8> {
    crate::Isa::available().into_iter().map(Int8::with_isa).collect()
}

fn bits(rows: &Rows) -> Vec<u32> {
    rows.as_slice().iter().map(|x| x.to_bits()).collect()
}

fn with_threads<R: Send>(n: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(f)
}

fn codes(term: &Term) -> impl Iterator<Item = i8> {
    term.words.into_iter().flat_map(|word| word.to_le_bytes().map(|code| code as i8))
}

/// Rows of which every third has a few values far larger than the rest.
fn uneven_rows(seed: u64, n_rows: usize, width: usize) -> Rows {
    let mut x = Random(seed).rows(n_rows, width);
    for t in (0..n_rows).step_by(3) {
        x.row_mut(t)[(7 * t + 5) % width] *= 300.0;
        x.row_mut(t)[(31 * t + 70) % width] *= -90.0;
    }
    x
}

/// The formula of the product, term by term, without tiles, blocks or lanes.
fn naive_product(acts: &Int8Acts, tensor: &weights::Tensor<'_>) -> Rows {
    let n_out = tensor.rows() as usize;
    let mut out = Rows::zeros(acts.n_rows, n_out);
    for o in 0..n_out {
        let groups = group::row_groups(tensor, o as u64).unwrap();
        for t in 0..acts.n_rows {
            let mut sum = 0.0f32;
            let firsts = acts.terms(t).iter().enumerate();
            let seconds = acts.seconds(t).iter().map(|second| (second.group, &second.term));
            for (g, term) in firsts.chain(seconds) {
                let group = &groups[g];
                let dot: i32 = codes(term).zip(group.codes).map(|(a, w)| i32::from(a) * i32::from(w)).sum();
                sum = (dot as f32).mul_add(group.d * term.scale, sum);
                sum = group.m.mul_add(term.scaled_sum, sum);
            }
            out.row_mut(t)[o] = sum;
        }
    }
    out
}

#[test]
fn products_are_the_formula_bit_for_bit_on_every_instruction_set() {
    let shapes: Vec<_> = DTYPES.iter().map(|&dtype| (dtype, 41, 256)).collect();
    let model = model(&shapes);
    for (at, dtype) in DTYPES.iter().enumerate() {
        let tensor = model.tensor(&at.to_string()).unwrap();
        let mut sizes = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 33];
        if [DType::Q8_0, DType::Q4_1].contains(dtype) {
            // In three parts of 260, 260 and 251 rows.
            sizes.push(771);
        }
        for n_rows in sizes {
            let x = uneven_rows(n_rows as u64, n_rows, 256);
            for ops in all() {
                let w = ops.matrix(&[&tensor]).unwrap();
                let (mut acts, mut out) = (Int8Acts::default(), Rows::default());
                ops.activations(&x, &mut acts);
                ops.matmul(&acts, &w, &mut out);
                assert_eq!(
                    bits(&out),
                    bits(&naive_product(&acts, &tensor)),
                    "{dtype} × {n_rows}, {}",
                    ops.isa().name()
                );
                let mut sum = Random(99).rows(n_rows, 41);
                let expected: Vec<u32> =
                    sum.as_slice().iter().zip(out.as_slice()).map(|(a, b)| (a + b).to_bits()).collect();
                ops.matmul_add(&acts, &w, &mut sum);
                assert_eq!(bits(&sum), expected, "{dtype} × {n_rows} added, {}", ops.isa().name());
            }
        }
    }
}

#[test]
fn extreme_codes_do_not_saturate() {
    // All weights at the largest code, all activations at ±127: the largest dot products there are.
    let half = |x: f32| half::f16::from_f32(x).to_le_bytes();
    let bytes = [half(1.0).as_slice(), &[127; 32]].concat();
    let nibbles = [half(1.0).as_slice(), &half(0.0), &[0xff; 16]].concat();
    for (dtype, block, weight) in [(DType::Q8_0, bytes, 127.0), (DType::Q4_1, nibbles, 15.0)] {
        let file = GgufWriter::new().tensor("0", dtype, &[1, 32], &block).to_bytes();
        let mut saved = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
        saved.write_all(&file).unwrap();
        let model = Model::open(saved.path()).unwrap();
        for (sign, n_rows) in [(1.0, 1), (-1.0, 1), (1.0, 15), (-1.0, 15)] {
            for ops in all() {
                let w = ops.matrix(&[&model.tensor("0").unwrap()]).unwrap();
                let (mut acts, mut out) = (Int8Acts::default(), Rows::default());
                ops.activations(&Rows::from_vec(vec![127.0 * sign; 32 * n_rows], 32), &mut acts);
                ops.matmul(&acts, &w, &mut out);
                let expected = vec![weight * 127.0 * 32.0 * sign; n_rows];
                assert_eq!(out.as_slice(), expected, "{dtype} × {n_rows}, {}", ops.isa().name());
            }
        }
    }
}

#[test]
fn products_are_near_the_reference() {
    for dtype in DTYPES {
        let model = model(&[(dtype, 64, 512), (dtype, 17, 512)]);
        let (a, b) = (model.tensor("0").unwrap(), model.tensor("1").unwrap());
        let x = Random(3).rows(7, 512);
        let (mut acts, mut fast, mut slow) = (Int8Acts::default(), Rows::default(), Rows::default());
        let ops = Int8::new();
        ops.activations(&x, &mut acts);
        ops.matmul(&acts, &ops.matrix(&[&a, &b]).unwrap(), &mut fast);
        Reference.matmul(&x, &Reference.matrix(&[&a, &b]).unwrap(), &mut slow);
        let norm = |values: &[f32]| values.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        let difference: Vec<f32> = fast.as_slice().iter().zip(slow.as_slice()).map(|(a, b)| a - b).collect();
        let error = norm(&difference) / norm(slow.as_slice());
        assert!(error < 0.02, "{dtype}: relative error {error}");
    }
}

#[test]
fn embedding_rows_are_the_weights() {
    for dtype in DTYPES {
        let model = model(&[(dtype, 37, 256)]);
        let tensor = model.tensor("0").unwrap();
        let ops = Int8::new();
        let mut x = Rows::default();
        ops.embed(&ops.matrix(&[&tensor]).unwrap(), &[36, 0, 17], &mut x);
        for (t, row) in [36, 0, 17].into_iter().enumerate() {
            let mut w = vec![0.0; 256];
            tensor.dequantise_row(row, &mut w).unwrap();
            let exact = matches!(dtype, DType::Q8_0 | DType::Q4_0);
            for (group, (got, w)) in x.row(t).chunks(GROUP).zip(w.chunks(GROUP)).enumerate() {
                let (min, max) = w.iter().fold((f32::MAX, f32::MIN), |(lo, hi), &w| (lo.min(w), hi.max(w)));
                let bound = if exact { 0.0 } else { (max - min) / 505.0 };
                for (got, w) in got.iter().zip(w) {
                    assert!((got - w).abs() <= bound, "{dtype} row {row} group {group}: {got} for {w}");
                }
            }
        }
    }
}

/// Packed int4 `[rows, 128]` in groups of 64: random codes and scales, zero points and column order as given.
fn packed_int4(rows: usize, zero_points: bool, g_idx: Option<[i32; 128]>) -> Model {
    let mut random = Random(11);
    let mut bytes = |len: usize| (0..len).map(|_| random.next() as u8).collect::<Vec<u8>>();
    let (codes, zeros) = (bytes(rows * 64), bytes(rows.div_ceil(8) * 8));
    let scales: Vec<u8> =
        (0..rows * 2).flat_map(|at| half::bf16::from_f32(0.01 + at as f32 / 999.0).to_le_bytes()).collect();
    let shape: Vec<u8> = [rows as i64, 128].iter().flat_map(|n| n.to_le_bytes()).collect();
    let order: Vec<u8> = g_idx.iter().flatten().flat_map(|group| group.to_le_bytes()).collect();
    let n = rows as u64;
    let (code_shape, scale_shape, zero_shape) = ([n, 16], [n, 2], [n.div_ceil(8), 2]);
    let mut parts: Vec<(&str, &str, &[u64], &[u8])> = vec![
        ("0.weight_packed", "I32", &code_shape, &codes),
        ("0.weight_scale", "BF16", &scale_shape, &scales),
        ("0.weight_shape", "I64", &[2], &shape),
    ];
    if zero_points {
        parts.push(("0.weight_zero_point", "I32", &zero_shape, &zeros));
    }
    if g_idx.is_some() {
        parts.push(("0.weight_g_idx", "I32", &[128], &order));
    }
    let mut file = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
    file.write_all(&weights::testing::safetensors(&parts)).unwrap();
    Model::open(file.path()).unwrap()
}

#[test]
fn int4_keeps_its_codes_unless_columns_of_a_group_have_several_scales() {
    let by_groups = std::array::from_fn(|col| (col as i32 / 32 + 1) % 2);
    let by_columns = std::array::from_fn(|col| col as i32 % 2);
    for zero_points in [false, true] {
        for (g_idx, keeps) in [(None, true), (Some(by_groups), true), (Some(by_columns), false)] {
            let model = packed_int4(37, zero_points, g_idx);
            let tensor = model.tensor("0.weight").unwrap();
            assert_eq!(group::fits_nibbles(&tensor), keeps);
            let matrix = Int8::new().matrix(&[&tensor]).unwrap();
            assert_eq!(matrix.nibbles, keeps);
            let (mut got, mut w) = (vec![0.0; 128], vec![0.0; 128]);
            for row in 0..37 {
                matrix.dequantise_row(row, &mut got);
                tensor.dequantise_row(row as u64, &mut w).unwrap();
                for (got, w) in got.chunks(GROUP).zip(w.chunks(GROUP)) {
                    let (min, max) = w.iter().fold((f32::MAX, f32::MIN), |(a, b), &w| (a.min(w), b.max(w)));
                    let bound = if keeps { 0.0 } else { (max - min) / 505.0 };
                    for (got, w) in got.iter().zip(w) {
                        assert!((got - w).abs() <= bound, "{zero_points} {g_idx:?} row {row}: {got} for {w}");
                    }
                }
            }
            let x = uneven_rows(5, 5, 128);
            for ops in all() {
                let (mut acts, mut out) = (Int8Acts::default(), Rows::default());
                ops.activations(&x, &mut acts);
                ops.matmul(&acts, &ops.matrix(&[&tensor]).unwrap(), &mut out);
                assert_eq!(bits(&out), bits(&naive_product(&acts, &tensor)), "{}", ops.isa().name());
            }
        }
    }
}

#[test]
fn widths_that_are_not_groups_and_weights_that_are_not_numbers_are_refused() {
    let model = model(&[(DType::F32, 3, 48), (DType::F32, 3, 64), (DType::F32, 3, 32)]);
    let tensor = |name| model.tensor(name).unwrap();
    let message = |parts: &[&weights::Tensor<'_>]| Int8::new().matrix(parts).err().unwrap().to_string();
    assert!(message(&[&tensor("0")]).contains("48 columns"));
    assert!(message(&[&tensor("1"), &tensor("2")]).contains("32 columns where 64"));
    assert!(message(&[]).contains("no tensor"));
    let mut values = [0.5; 64];
    values[40] = f32::NAN;
    let mut file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    file.write_all(&GgufWriter::new().tensor_f32("bad", &[2, 32], &values).to_bytes()).unwrap();
    let model = Model::open(file.path()).unwrap();
    let message = message(&[&model.tensor("bad").unwrap()]);
    assert!(message.contains("row 1"), "{message}");
}

/// Outputs of norm, swiglu and rope, as codes and scales or rows.
fn row_stages(ops: Int8, x: &Rows) -> (Int8Acts, Int8Acts, Rows) {
    let weight: Vec<f32> = (0..x.width()).map(|i| 0.5 + i as f32 / 100.0).collect();
    let (mut normed, mut gated, mut turned) = (Int8Acts::default(), Int8Acts::default(), x.clone());
    ops.norm(x, &weight, 1e-5, &mut normed);
    ops.swiglu(x, &mut gated);
    let table = RopeTable::new(&[1.0, 0.3, 0.1, 0.02], 100);
    let pos: Vec<u64> = (0..x.n_rows() as u64).map(|t| t + 7).collect();
    ops.rope(&mut turned, 8, &table, Pairing::Half, &pos);
    (normed, gated, turned)
}

#[test]
fn row_stages_have_the_same_bits_on_every_instruction_set_and_in_every_batch() {
    let x = uneven_rows(5, 19, 192);
    let (normed, gated, turned) = row_stages(Int8::with_isa(*crate::Isa::available().last().unwrap()), &x);
    assert!(
        (0..19).any(|row| !normed.seconds(row).is_empty()),
        "rows with second terms are part of the test"
    );
    for ops in all() {
        assert_eq!(
            row_stages(ops, &x),
            (normed.clone(), gated.clone(), turned.clone()),
            "{}",
            ops.isa().name()
        );
        for threads in [1, 2] {
            assert_eq!(with_threads(threads, || row_stages(ops, &x)).0, normed);
        }
    }
    let one = row_stages(Int8::new(), &Rows::from_vec(x.row(0).to_vec(), 192));
    for (one, all) in [(&one.0, &normed), (&one.1, &gated)] {
        assert_eq!((one.terms(0), one.seconds(0)), (all.terms(0), all.seconds(0)));
    }
}

#[test]
fn row_stages_are_near_the_reference() {
    let x = Random(6).rows(3, 192);
    let (normed, gated, turned) = row_stages(Int8::new(), &x);
    let weight: Vec<f32> = (0..192).map(|i| 0.5 + i as f32 / 100.0).collect();
    let (mut slow_normed, mut slow_gated, mut slow_turned) = (Rows::default(), Rows::default(), x.clone());
    Reference.norm(&x, &weight, 1e-5, &mut slow_normed);
    Reference.swiglu(&x, &mut slow_gated);
    Reference.rope(
        &mut slow_turned,
        8,
        &RopeTable::new(&[1.0, 0.3, 0.1, 0.02], 100),
        Pairing::Half,
        &[7, 8, 9],
    );
    for (fast, slow) in [(&normed, &slow_normed), (&gated, &slow_gated)] {
        for (term, slow) in fast.terms.iter().zip(slow.as_slice().chunks(GROUP)) {
            let scale = term.scale;
            let absmax = slow.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            assert!((scale * 127.0 - absmax).abs() <= 2e-6 * absmax, "scale {scale} of absmax {absmax}");
            for (code, slow) in codes(term).zip(slow) {
                assert!((f32::from(code) * scale - slow).abs() <= 0.501 * scale);
            }
        }
    }
    for (fast, slow) in turned.as_slice().iter().zip(slow_turned.as_slice()) {
        assert!((fast - slow).abs() <= 1e-5, "{fast} for {slow}");
    }
}

#[test]
fn tiny_and_zero_rows_quantise_to_zero_or_keep_their_size() {
    for ops in all() {
        let mut acts = Int8Acts::default();
        ops.activations(
            &Rows::from_vec([[0.0; 32], [1e-38; 32], [1e-20; 32], [-3e38; 32]].concat(), 32),
            &mut acts,
        );
        assert_eq!(acts.terms[..2], [Term::default(); 2]);
        assert_eq!(
            (acts.terms[2].words[0], acts.terms[3].words[0]),
            (0x7f7f_7f7f, i32::from_le_bytes([129; 4]))
        );
    }
}

#[test]
fn a_group_that_stands_out_is_kept_to_two_terms() {
    let mut row = vec![0.01; 96];
    (row[40], row[41]) = (5.0, 0.0301);
    for ops in all() {
        let mut acts = Int8Acts::default();
        ops.activations(&Rows::from_vec(row.clone(), 96), &mut acts);
        let [second] = acts.seconds(0) else { panic!("one second term, not {:?}", acts.seconds(0)) };
        assert_eq!(second.group, 1);
        let first = acts.terms(0)[1];
        for (k, (a, b)) in codes(&first).zip(codes(&second.term)).enumerate() {
            let kept = f32::from(a) * first.scale + f32::from(b) * second.term.scale;
            assert!((kept - row[32 + k]).abs() <= 0.501 * second.term.scale, "column {k}: {kept}");
        }
        assert!(second.term.scale * 127.0 <= 0.501 * first.scale);
    }
}

mod attention;
