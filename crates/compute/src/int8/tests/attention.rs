//! Attention: bits that do not depend on how the work is cut, values near the reference.

use super::*;

const N_HEADS: usize = 6;
const N_KV_HEADS: usize = 2;
/// Pages that integer dot products go over.
const CODED: [kv::Dtype; 2] = [kv::Dtype::Int8, kv::Dtype::K6V4];

/// Pages filled with random rows, and queries for every position.
struct Setup {
    pages: Vec<kv::PageBuf>,
    q: Rows,
    head_dim: usize,
}

impl Setup {
    fn new(n_tokens: usize, head_dim: usize, dtype: kv::Dtype) -> Self {
        let mut random = Random(11);
        let shape = kv::PageShape { n_kv_heads: N_KV_HEADS, head_dim };
        let mut pages = vec![kv::PageBuf::new(shape, dtype); n_tokens.div_ceil(PAGE_LEN)];
        for t in 0..n_tokens {
            let row = random.rows(2, shape.row_values());
            pages[t / PAGE_LEN].write_row(t % PAGE_LEN, row.row(0), row.row(1)).unwrap();
        }
        let q = random.rows(n_tokens, N_HEADS * head_dim);
        Self { pages, q, head_dim }
    }

    /// The pages at positions from `first` on, the last one partly visible when `n_tokens` ends inside it.
    fn blocks(&self, first: u64, n_tokens: usize) -> Vec<KvBlock<'_>> {
        let block = |(i, page)| {
            let visible = 0..PAGE_LEN.min(n_tokens.saturating_sub(i * PAGE_LEN));
            let pos = first + (i * PAGE_LEN) as u64;
            KvBlock { page, visible, first_pos: pos, stored_pos: pos }
        };
        self.pages.iter().enumerate().map(block).collect()
    }

    /// Output and mass of rows `rows`, the last one's mass wanted.
    fn attend(
        &self,
        ops: &impl Ops,
        blocks: &[KvBlock<'_>],
        rows: std::ops::Range<usize>,
        first: u64,
        chunk: Option<u64>,
        rope: Option<(&RopeTable, Pairing)>,
    ) -> (Rows, Vec<f32>) {
        let data: Vec<f32> = rows.clone().flat_map(|row| self.q.row(row).to_vec()).collect();
        let q = Rows::from_vec(data, self.q.width());
        let q_pos: Vec<u64> = rows.clone().map(|row| first + row as u64).collect();
        let (n, head_dim) = (rows.len(), self.head_dim);
        let spec = AttendSpec {
            n_heads: N_HEADS,
            n_kv_heads: N_KV_HEADS,
            head_dim,
            // Scores of a few units: f32 cannot hold the weights of scores in the hundreds closely.
            scale: 1.0 / head_dim as f32,
            rope,
            chunk,
            q_pos: &q_pos,
        };
        let mut mass = vec![0.0; blocks.len() * PAGE_LEN];
        let mut groups = [AttendGroup { rows: 0..n, blocks, mass: Some(&mut mass), mass_rows: n - 1..n }];
        let mut out = Rows::default();
        ops.attend(&spec, &q, &mut groups, &mut out);
        (out, mass)
    }
}

fn table(head_dim: usize) -> RopeTable {
    let freqs: Vec<f64> = (0..head_dim / 2).map(|i| 0.7f64.powi(i as i32)).collect();
    RopeTable::new(&freqs, 700)
}

#[test]
fn every_instruction_set_and_thread_count_gives_the_same_bits() {
    let shapes = [(64, Pairing::Interleaved), (24, Pairing::Half)];
    for ((head_dim, pairing), dtype) in shapes.into_iter().flat_map(|shape| CODED.map(|dtype| (shape, dtype)))
    {
        let setup = Setup::new(150, head_dim, dtype);
        let (blocks, table) = (setup.blocks(3, 150), table(head_dim));
        let rope = Some((&table, pairing));
        let scalar = Int8::with_isa(*crate::Isa::available().last().unwrap());
        let expected = setup.attend(&scalar, &blocks, 0..150, 3, None, rope);
        for ops in all() {
            for threads in [1, 2] {
                let got = with_threads(threads, || setup.attend(&ops, &blocks, 0..150, 3, None, rope));
                assert_eq!(bits(&got.0), bits(&expected.0), "{}, {threads} threads", ops.isa().name());
                assert_eq!(got.1, expected.1);
            }
        }
    }
}

#[test]
fn rows_attended_together_and_one_by_one_have_the_same_bits() {
    for dtype in CODED {
        rows_together_and_one_by_one(dtype);
    }
}

fn rows_together_and_one_by_one(dtype: kv::Dtype) {
    // Enough pages that single rows share them out to threads.
    let setup = Setup::new(600, 32, dtype);
    let (blocks, table, ops) = (setup.blocks(0, 600), table(32), Int8::new());
    let rope = Some((&table, Pairing::Half));
    let together = setup.attend(&ops, &blocks, 0..600, 0, None, rope);
    for row in [0, 1, 63, 64, 65, 127, 500, 599] {
        // Only the pages and slots that exist when this row is decoded.
        let n_pages = row / PAGE_LEN + 1;
        let blocks = setup.blocks(0, row + 1);
        let alone = setup.attend(&ops, &blocks[..n_pages], row..row + 1, 0, None, rope);
        assert_eq!(alone.0.row(0), together.0.row(row), "row {row}");
        let two = with_threads(2, || setup.attend(&ops, &blocks[..n_pages], row..row + 1, 0, None, rope));
        assert_eq!(two, alone);
    }
    let part = setup.attend(&ops, &blocks, 100..333, 0, None, rope);
    assert_eq!(part.0.as_slice(), &together.0.as_slice()[100 * 192..333 * 192]);
}

#[test]
fn what_is_masked_does_not_matter() {
    let setup = Setup::new(128, 32, kv::Dtype::Int8);
    let other = Setup::new(192, 32, kv::Dtype::Int8);
    let ops = Int8::new();
    // Slots 10..20 of two pages, at positions 0..20; then the same rows with other neighbours in their pages.
    let seen = |page, first_pos| KvBlock { page, visible: 10..20, first_pos, stored_pos: 7 };
    let blocks = [seen(&setup.pages[0], 0), seen(&setup.pages[1], 10)];
    let mut pages = other.pages.clone();
    for (page, from) in pages.iter_mut().zip(&setup.pages) {
        (10..20).for_each(|slot| page.copy_row(slot, from, slot));
    }
    let hidden = KvBlock { page: &pages[2], visible: 5..5, first_pos: 20, stored_pos: 0 };
    let later = KvBlock { page: &pages[2], visible: 0..64, first_pos: 20, stored_pos: 300 };
    let moved = [seen(&pages[0], 0), hidden, seen(&pages[1], 10), later];
    let table = table(32);
    let rope = Some((&table, Pairing::Half));
    let same = setup.attend(&ops, &blocks, 0..20, 0, None, rope).0;
    for row in 0..20 {
        let alone = setup.attend(&ops, &moved, row..row + 1, 0, None, rope).0;
        assert_eq!(alone.row(0), same.row(row), "row {row}");
    }
    let again = setup.attend(
        &ops,
        &[blocks[0].clone(), moved[1].clone(), blocks[1].clone(), moved[3].clone()],
        0..20,
        0,
        None,
        rope,
    );
    assert_eq!(bits(&again.0), bits(&same), "hidden and later pages");
    assert!(again.1[64..138].iter().chain(&again.1[148..]).all(|&mass| mass == 0.0));
}

#[test]
fn values_and_mass_over_floats_are_near_the_reference() {
    for dtype in [kv::Dtype::Bf16, kv::Dtype::F32] {
        for (head_dim, chunk) in [(64, None), (64, Some(50)), (128, None), (24, Some(64)), (8, None)] {
            let setup = Setup::new(200, head_dim, dtype);
            let table = RopeTable::periodic(&table_freqs(head_dim), chunk.unwrap_or(700) as usize);
            for rope in [None, Some((&table, Pairing::Half)), Some((&table, Pairing::Interleaved))] {
                let blocks = setup.blocks(5, 200);
                let fast = setup.attend(&Int8::new(), &blocks, 0..200, 5, chunk, rope);
                let slow = setup.attend(&Reference, &blocks, 0..200, 5, chunk, rope);
                for (a, b) in fast.0.as_slice().iter().zip(slow.0.as_slice()) {
                    assert!(
                        (a - b).abs() < 1e-4,
                        "{} × {head_dim}, chunk {chunk:?}: {a} for {b}",
                        dtype.name()
                    );
                }
                let total: f32 = fast.1.iter().sum();
                assert!((total - 1.0).abs() < 1e-5, "mass sums to {total}");
                assert!(fast.1.iter().zip(&slow.1).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }
}

fn table_freqs(head_dim: usize) -> Vec<f64> {
    (0..head_dim / 2).map(|i| 0.7f64.powi(i as i32)).collect()
}

#[test]
fn groups_do_not_see_each_other_and_a_blind_row_gives_zeros() {
    let setup = Setup::new(128, 32, kv::Dtype::Int8);
    let ops = Int8::new();
    let (a, b) = (setup.blocks(0, 128), setup.blocks(40, 64));
    let q_pos = [100, 101, 0, 50];
    let spec = AttendSpec {
        n_heads: N_HEADS,
        n_kv_heads: N_KV_HEADS,
        head_dim: 32,
        scale: 0.3,
        rope: None,
        chunk: None,
        q_pos: &q_pos,
    };
    let q = Random(2).rows(4, N_HEADS * 32);
    let group =
        |rows: std::ops::Range<usize>, blocks| AttendGroup { rows, blocks, mass: None, mass_rows: 0..0 };
    let (mut both, mut first) = (Rows::default(), Rows::default());
    ops.attend(&spec, &q, &mut [group(0..2, &a), group(2..4, &b[..1])], &mut both);
    ops.attend(&spec, &q, &mut [group(0..2, &a)], &mut first);
    assert_eq!(both.row(0), first.row(0));
    assert_eq!(both.row(1), first.row(1));
    assert!(both.row(2).iter().all(|&x| x == 0.0), "position 0 lies before the group's first page");
    assert!(both.row(3).iter().any(|&x| x != 0.0));
}

impl Setup {
    /// The same rows with keys turned to positions `0..`, as prefill stores them.
    fn turned(&self, table: &RopeTable, pairing: Pairing, first: u64) -> Self {
        let mut pages = self.pages.clone();
        let width = pages[0].shape().row_values();
        for (i, page) in pages.iter_mut().enumerate() {
            for slot in 0..PAGE_LEN {
                let (mut k, mut v) = (vec![0.0; width], vec![0.0; width]);
                page.read_row(slot, &mut k, &mut v);
                let mut k = Rows::from_vec(k, width);
                let pos = first + (i * PAGE_LEN + slot) as u64;
                Reference.rope(&mut k, self.head_dim, table, pairing, &[pos]);
                page.write_row(slot, k.row(0), &v).unwrap();
            }
        }
        Self { pages, q: self.q.clone(), head_dim: self.head_dim }
    }
}

/// Runs the fast path and the reference alike.
fn fast_and_reference(
    setup: &Setup,
    blocks: &[KvBlock<'_>],
    chunk: Option<u64>,
    table: &RopeTable,
) -> [Rows; 2] {
    let (n, rope) = (setup.q.n_rows(), Some((table, Pairing::Interleaved)));
    [
        setup.attend(&Int8::default(), blocks, 0..n, 0, chunk, rope).0,
        setup.attend(&Reference, blocks, 0..n, 0, chunk, rope).0,
    ]
}

/// Rotation is relative and chunks are closed: turning by the position within a chunk scores like turning by the position.
#[test]
fn positions_within_a_chunk_give_what_absolute_positions_give() {
    const CHUNK: usize = 40;
    let (head_dim, n_tokens) = (32, 5 * CHUNK);
    let frequencies = table_freqs(head_dim);
    for (dtype, allowed) in [(kv::Dtype::F32, 2e-5), (kv::Dtype::Int8, 0.02), (kv::Dtype::K6V4, 0.02)] {
        let setup = Setup::new(n_tokens, head_dim, dtype);
        let [absolute, within] =
            [RopeTable::new(&frequencies, n_tokens), RopeTable::periodic(&frequencies, CHUNK)].map(|table| {
                let setup = setup.turned(&table, Pairing::Interleaved, 0);
                fast_and_reference(&setup, &setup.blocks(0, n_tokens), Some(CHUNK as u64), &table)
            });
        for (absolute, within) in absolute.iter().zip(&within) {
            let share = rms_share(within, absolute);
            assert!(share <= allowed, "{}: {share:e}", dtype.name());
        }
    }
}

/// A page whose keys were turned elsewhere scores as if they had been turned where it stands, forwards and back, past the
/// end of the table too.
#[test]
fn pages_can_be_moved() {
    let (head_dim, n_tokens, first) = (32, 192, 30);
    let frequencies = table_freqs(head_dim);
    let table = RopeTable::new(&frequencies, 250);
    for (dtype, allowed) in [(kv::Dtype::F32, 2e-5), (kv::Dtype::Int8, 0.02), (kv::Dtype::K6V4, 0.02)] {
        let setup = Setup::new(n_tokens, head_dim, dtype);
        let at_home = setup.turned(&table, Pairing::Interleaved, first);
        let expected = fast_and_reference(&at_home, &at_home.blocks(first, n_tokens), None, &table);
        for computed_at in [0, 7, 100, 400] {
            let elsewhere = setup.turned(&table, Pairing::Interleaved, computed_at);
            let mut blocks = elsewhere.blocks(first, n_tokens);
            for block in &mut blocks {
                block.stored_pos = block.first_pos - first + computed_at;
            }
            let moved = fast_and_reference(&elsewhere, &blocks, None, &table);
            for (moved, expected) in moved.iter().zip(&expected) {
                let share = rms_share(moved, expected);
                assert!(share <= allowed, "{} from {computed_at}: {share:e}", dtype.name());
            }
        }
    }
}

/// Root mean square of `a − b`, in shares of that of `b`.
fn rms_share(a: &Rows, b: &Rows) -> f64 {
    let squares = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x * x)).sum::<f64>().sqrt();
    let difference = squares(&mut a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a - b));
    difference / squares(&mut b.as_slice().iter().copied())
}

/// `round(x · (127 / largest))` and what a step is worth.
fn codes(x: &[f32]) -> (Vec<i64>, f32) {
    let largest = x.iter().fold(1e-30, |largest: f32, x| largest.max(x.abs()));
    let code = |x: &f32| (x * (127.0 / largest)).round_ties_even() as i64;
    (x.iter().map(code).collect(), largest * (1.0 / 127.0))
}

/// A query turned to its position, in codes and a scale per 32 dimensions.
fn query_codes(query: &[f32], pos: u64, rope: Option<(&RopeTable, Pairing)>) -> Vec<(Vec<i64>, f32)> {
    let mut turned = query.to_vec();
    if let Some((table, pairing)) = rope {
        let angles = table.angles(pos);
        for (i, (&cos, &sin)) in angles.cos.iter().zip(&*angles.sin).enumerate() {
            let (a, b) = pairing.pair(i, query.len());
            turned[a] = (-query[b]).mul_add(sin, query[a] * cos);
            turned[b] = query[a].mul_add(sin, query[b] * cos);
        }
    }
    turned.chunks(32).map(codes).collect()
}

/// The formula of `int8_page`, written once more: one query head over all pages, sums in f64.
fn expected(
    blocks: &[KvBlock<'_>],
    query: &[f32],
    kv_head: usize,
    scale: f64,
    q_pos: u64,
    rope: Option<(&RopeTable, Pairing)>,
) -> Vec<f64> {
    let head_dim = query.len();
    let query = query_codes(query, q_pos, rope);
    let (mut max, mut sum, mut out) = (f64::NEG_INFINITY, 0.0, vec![0.0; head_dim]);
    for block in blocks {
        let seen = block.seen_by(q_pos, None);
        let key = |slot: usize, dim: usize| {
            i64::from(block.page.k_codes(kv_head)[(dim / 4 * PAGE_LEN + slot) * 4 + dim % 4])
        };
        let score = |slot: usize| -> f64 {
            let groups = query.iter().enumerate().map(|(group, (q, q_scale))| {
                let dot: i64 = (32 * group..).zip(q).map(|(dim, q)| key(slot, dim) * q).sum();
                let k_scale = block.page.k_scales(kv_head)[group * PAGE_LEN + slot];
                dot as f64 * f64::from(k_scale) * f64::from(*q_scale)
            });
            groups.sum::<f64>() * scale
        };
        let scores: Vec<f64> = seen.clone().map(score).collect();
        let page_max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if scores.is_empty() {
            continue;
        }
        let weights: Vec<f64> = scores.iter().map(|score| (score - page_max).exp()).collect();
        let scaled: Vec<f32> = weights
            .iter()
            .zip(seen.clone())
            .map(|(weight, slot)| *weight as f32 * block.page.v_scales(kv_head)[slot])
            .collect();
        let step = scaled.iter().copied().fold(0.0, f32::max) / 255.0;
        let new_max = max.max(page_max);
        let (keep, add) = ((max - new_max).exp(), (page_max - new_max).exp());
        sum = sum * keep + weights.iter().sum::<f64>() * add;
        for (dim, out) in out.iter_mut().enumerate() {
            let codes = scaled.iter().map(|x| (x / step).round_ties_even() as i64);
            let values = seen.clone().map(|slot| {
                i64::from(block.page.v_codes(kv_head)[(slot / 4 * head_dim + dim) * 4 + slot % 4])
            });
            let dot: i64 = codes.zip(values).map(|(code, value)| code * value).sum();
            *out = *out * keep + dot as f64 * f64::from(step) * add;
        }
        max = new_max;
    }
    out.iter().map(|out| out / sum).collect()
}

#[test]
fn int8_pages_give_what_the_formula_says() {
    for head_dim in [8, 24, 64, 72, 128] {
        let setup = Setup::new(150, head_dim, kv::Dtype::Int8);
        let table = table(head_dim);
        for rope in [None, Some((&table, Pairing::Half)), Some((&table, Pairing::Interleaved))] {
            let blocks = setup.blocks(5, 150);
            let fast = setup.attend(&Int8::new(), &blocks, 0..150, 5, None, rope).0;
            let (mut worst, mut off, mut n) = (0.0f64, 0, 0);
            for row in [0, 1, 37, 63, 64, 100, 149] {
                for head in 0..N_HEADS {
                    let query = &setup.q.row(row)[head * head_dim..(head + 1) * head_dim];
                    let (kv_head, scale) = (head * N_KV_HEADS / N_HEADS, 1.0 / head_dim as f64);
                    let expected = expected(&blocks, query, kv_head, scale, 5 + row as u64, rope);
                    let got = &fast.row(row)[head * head_dim..(head + 1) * head_dim];
                    for (got, expected) in got.iter().zip(expected) {
                        let difference = (f64::from(*got) - expected).abs();
                        worst = worst.max(difference);
                        off += usize::from(difference > 2e-5);
                        n += 1;
                    }
                }
            }
            // The exponentials differ in their last bits, which turns a code that lies between two to its neighbour.
            assert!(worst < 2e-2 && 50 * off <= n, "{head_dim}: {worst:e}, {off} of {n} off");
        }
    }
}

#[test]
fn pages_that_come_in_several_calls_give_the_same_bits() {
    for dtype in [kv::Dtype::Int8, kv::Dtype::K6V4, kv::Dtype::Bf16] {
        let setup = Setup::new(300, 24, dtype);
        let (blocks, table, ops, rows) = (setup.blocks(0, 300), table(24), Int8::new(), 290..300);
        let rope = Some((&table, Pairing::Half));
        let at_once = setup.attend(&ops, &blocks, rows.clone(), 0, None, rope).0;
        let q =
            Rows::from_vec(rows.clone().flat_map(|row| setup.q.row(row).to_vec()).collect(), setup.q.width());
        let q_pos: Vec<u64> = rows.map(|row| row as u64).collect();
        let spec = AttendSpec {
            n_heads: N_HEADS,
            n_kv_heads: N_KV_HEADS,
            head_dim: 24,
            scale: 1.0 / 24.0,
            rope,
            chunk: None,
            q_pos: &q_pos,
        };
        let (mut walk, mut out) = (ops.walk(&spec, 10), Rows::default());
        for blocks in [&blocks[..3], &blocks[3..]] {
            ops.walk_on(
                &spec,
                &q,
                &[AttendGroup { rows: 0..10, blocks, mass: None, mass_rows: 0..0 }],
                &mut walk,
            );
        }
        ops.walk_end(&spec, &walk, &mut out);
        assert_eq!(bits(&out), bits(&at_once), "{}", dtype.name());
    }
}

/// What int8 dot products cost: against f32 over the same pages, with values of which some are twenty times the others.
#[test]
fn coded_pages_are_near_the_reference() {
    for (dtype, head_dim) in CODED.into_iter().flat_map(|dtype| [24, 34, 64, 72, 128].map(|dim| (dtype, dim)))
    {
        let setup = Setup::new(200, head_dim, dtype);
        let table = table(head_dim);
        for rope in [None, Some((&table, Pairing::Half))] {
            let blocks = setup.blocks(5, 200);
            let fast = setup.attend(&Int8::new(), &blocks, 0..200, 5, None, rope);
            let slow = setup.attend(&Reference, &blocks, 0..200, 5, None, rope);
            let (share, of) = (rms_share(&fast.0, &slow.0), format!("{} x {head_dim}", dtype.name()));
            println!("{of}, rotated {}: rms {share:.4} of the output's", rope.is_some());
            assert!(share < 0.02, "{of}, {}: {share}", rope.is_some());
            let total: f32 = fast.1.iter().sum();
            assert!((total - 1.0).abs() < 1e-5, "mass sums to {total}");
            assert!(fast.1.iter().zip(&slow.1).all(|(a, b)| (a - b).abs() < 0.01));
        }
    }
}
