//! Attention: bits that do not depend on how the work is cut, values near the reference.

use super::*;

const N_HEADS: usize = 6;
const N_KV_HEADS: usize = 2;

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
            KvBlock { page, visible, first_pos: first + (i * PAGE_LEN) as u64 }
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
    for (head_dim, pairing) in [(64, Pairing::Interleaved), (24, Pairing::Half)] {
        let setup = Setup::new(150, head_dim, kv::Dtype::Int8);
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
    // Enough pages that single rows share them out to threads.
    let setup = Setup::new(600, 32, kv::Dtype::Int8);
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
    let seen = |page, first_pos| KvBlock { page, visible: 10..20, first_pos };
    let blocks = [seen(&setup.pages[0], 0), seen(&setup.pages[1], 10)];
    let mut pages = other.pages.clone();
    for (page, from) in pages.iter_mut().zip(&setup.pages) {
        for slot in 10..20 {
            let (mut k, mut v) = (vec![0.0; 64], vec![0.0; 64]);
            from.read_row(slot, &mut k, &mut v);
            page.write_row(slot, &k, &v).unwrap();
        }
    }
    let hidden = KvBlock { page: &pages[2], visible: 5..5, first_pos: 20 };
    let later = KvBlock { page: &pages[2], visible: 0..64, first_pos: 20 };
    let moved = [seen(&pages[0], 0), hidden, seen(&pages[1], 10), later];
    let table = table(32);
    let rope = Some((&table, Pairing::Half));
    let same = setup.attend(&ops, &blocks, 0..20, 0, None, rope).0;
    for row in 0..20 {
        // Requantising a row moves it by at most half a step of its own scale, so compare values, not bits.
        let close = setup.attend(&ops, &moved, row..row + 1, 0, None, rope).0;
        for (a, b) in close.row(0).iter().zip(same.row(row)) {
            assert!((a - b).abs() < 1e-4, "row {row}: {a} for {b}");
        }
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
fn values_and_mass_are_near_the_reference_over_the_same_pages() {
    for dtype in [kv::Dtype::Int8, kv::Dtype::Bf16, kv::Dtype::F32] {
        for (head_dim, chunk) in [(64, None), (64, Some(50)), (128, None), (24, Some(64)), (8, None)] {
            let setup = Setup::new(200, head_dim, dtype);
            let table = RopeTable::periodic(&table_freqs(head_dim), chunk.unwrap_or(700) as usize);
            for rope in [None, Some((&table, Pairing::Half)), Some((&table, Pairing::Interleaved))] {
                // Queries are given as they are: rotation of queries is another stage.
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

/// Rotation is relative and chunks are closed: turning by the position within a chunk scores like turning by the position.
#[test]
fn positions_within_a_chunk_give_what_absolute_positions_give() {
    const CHUNK: usize = 40;
    let (head_dim, n_tokens) = (32, 5 * CHUNK);
    let frequencies = table_freqs(head_dim);
    let tables =
        [RopeTable::new(&frequencies, n_tokens + PAGE_LEN), RopeTable::periodic(&frequencies, CHUNK)];
    let positions: Vec<u64> = (0..n_tokens as u64).collect();
    fn run(ops: &impl Ops, setup: &Setup, table: &RopeTable, positions: &[u64]) -> Rows {
        let rotated = |table: &RopeTable| {
            let mut q = setup.q.clone();
            ops.rope(&mut q, setup.head_dim, table, Pairing::Interleaved, positions);
            q
        };
        let setup = Setup { pages: setup.pages.clone(), q: rotated(table), head_dim: setup.head_dim };
        let blocks = setup.blocks(0, positions.len());
        let rope = Some((table, Pairing::Interleaved));
        setup.attend(ops, &blocks, 0..positions.len(), 0, Some(CHUNK as u64), rope).0
    }
    for dtype in [kv::Dtype::F32, kv::Dtype::Int8] {
        let setup = Setup::new(n_tokens, head_dim, dtype);
        let [absolute, within] = tables.each_ref().map(|table| match dtype {
            kv::Dtype::F32 => run(&Reference, &setup, table, &positions),
            _ => run(&Int8::default(), &setup, table, &positions),
        });
        let differences = absolute.as_slice().iter().zip(within.as_slice()).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        assert!(worst <= 2e-5, "{dtype:?}: {worst:e}");
    }
}
