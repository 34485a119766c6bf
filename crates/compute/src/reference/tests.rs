use proptest::prelude::*;

use super::*;
use crate::KvBlock;

fn rows(values: &[&[f32]]) -> Rows {
    Rows::from_vec(values.concat(), values[0].len())
}

#[test]
fn norm_divides_by_the_root_mean_square() {
    let mut acts = Rows::default();
    Reference.norm(&rows(&[&[3.0, -4.0], &[0.0, 0.0]]), &[2.0, 1.0], 0.5, &mut acts);
    let factor = 1.0 / 13.0f32.sqrt();
    assert_eq!(acts.row(0), [2.0 * (3.0 * factor), -4.0 * factor]);
    assert_eq!(acts.row(1), [0.0, 0.0]);
}

#[test]
fn swiglu_gates_the_second_half_with_the_first() {
    let mut acts = Rows::default();
    Reference.swiglu(&rows(&[&[0.0, 2.0, 5.0, 3.0]]), &mut acts);
    assert_eq!(acts.row(0)[0], 0.0);
    assert!((acts.row(0)[1] - 6.0 / (1.0 + (-2.0f32).exp())).abs() < 1e-6);
}

#[test]
fn product_has_one_column_per_matrix_row() {
    let w = ReferenceMatrix { data: (0..37 * 2).map(|i| i as f32).collect(), width: 2 };
    let acts = rows(&[&[1.0, 0.0], &[0.0, 1.0], &[1.0, 1.0]]);
    let (mut out, mut sum) = (Rows::default(), Rows::zeros(3, 37));
    sum.as_mut_slice().fill(1.0);
    Reference.matmul(&acts, &w, &mut out);
    Reference.matmul_add(&acts, &w, &mut sum);
    for o in 0..37 {
        let (a, b) = (2.0 * o as f32, 2.0 * o as f32 + 1.0);
        assert_eq!([out.row(0)[o], out.row(1)[o], out.row(2)[o]], [a, b, a + b]);
        assert_eq!(sum.row(2)[o], a + b + 1.0);
    }
}

#[test]
fn rope_turns_pairs_by_position_times_frequency() {
    let table = RopeTable::new(&[1.0, 0.25], 8);
    for (pairing, a, b) in [(Pairing::Interleaved, 2, 3), (Pairing::Half, 1, 3)] {
        let mut q = Rows::zeros(1, 8);
        q.row_mut(0)[4 + a] = 1.0;
        Reference.rope(&mut q, 4, &table, pairing, &[6]);
        let mut expected = [0.0f32; 8];
        (expected[4 + a], expected[4 + b]) = (1.5f64.cos() as f32, 1.5f64.sin() as f32);
        assert_eq!(q.row(0), expected);
    }
}

#[test]
fn a_periodic_table_wraps_and_a_plain_one_goes_on() {
    let table = RopeTable::periodic(&[1.0], 8);
    assert_eq!(table.angles(8_000_000_003).cos[0], 3f64.cos() as f32);
    let plain = RopeTable::new(&[0.5], 8);
    assert_eq!(plain.angles(8).sin[0], 4f64.sin() as f32);
    assert_eq!(plain.angles(7).sin[0], 3.5f64.sin() as f32);
}

#[test]
fn attention_weighs_values_by_softmax_of_scores_and_reports_it_as_mass() {
    let shape = kv::PageShape { n_kv_heads: 1, head_dim: 2 };
    let mut page = kv::PageBuf::new(shape, kv::Dtype::F32);
    for (slot, (k, v)) in
        [([1.0, 0.0], [1.0, 10.0]), ([0.0, 1.0], [2.0, 20.0]), ([5.0, 5.0], [9.0, 9.0])].iter().enumerate()
    {
        page.write_row(4 + slot, k, v).unwrap();
    }
    let blocks = [KvBlock { page: &page, visible: 4..7, first_pos: 10, stored_pos: 10 }];
    let spec = AttendSpec {
        n_heads: 1,
        n_kv_heads: 1,
        head_dim: 2,
        scale: 1.0,
        rope: None,
        chunk: None,
        q_pos: &[11],
    };
    let mut mass = vec![0.0; 64];
    let mut groups = [AttendGroup { rows: 0..1, blocks: &blocks, mass: Some(&mut mass), mass_rows: 0..1 }];
    let mut out = Rows::default();
    Reference.attend(&spec, &rows(&[&[2.0, 1.0]]), &mut groups, &mut out);
    // Position 12 lies after the query; of the other two, one scores 2 and one 1.
    let first = 1.0 / (1.0 + (-1.0f32).exp());
    assert!((out.row(0)[0] - (first + 2.0 * (1.0 - first))).abs() < 1e-6);
    assert!((out.row(0)[1] - (10.0 * first + 20.0 * (1.0 - first))).abs() < 1e-5);
    assert!((mass[4] - first).abs() < 1e-6 && (mass[5] - (1.0 - first)).abs() < 1e-6);
    assert_eq!(mass.iter().filter(|&&m| m != 0.0).count(), 2);
}

proptest! {
    #[test]
    fn a_query_sees_its_own_chunk_up_to_itself(
        start in 0usize..=64, len in 0usize..=64, first_pos in 0u64..300, q_pos in 0u64..500,
        chunk in prop::option::of(1u64..100), far in any::<bool>(),
    ) {
        let page = kv::PageBuf::new(kv::PageShape { n_kv_heads: 1, head_dim: 2 }, kv::Dtype::F32);
        let shift = if far { chunk.unwrap_or(1) * 5_000_000_000 } else { 0 };
        let (first_pos, q_pos) = (first_pos + shift, q_pos + shift);
        let block = KvBlock { page: &page, visible: start..(start + len).min(64), first_pos, stored_pos: 0 };
        let slow: Vec<usize> = block.visible.clone().filter(|slot| {
            let pos = first_pos + (slot - start) as u64;
            pos <= q_pos && chunk.is_none_or(|chunk| pos / chunk == q_pos / chunk)
        }).collect();
        prop_assert_eq!(block.seen_by(q_pos, chunk).collect::<Vec<_>>(), slow);
    }
}

#[test]
fn a_row_that_sees_nothing_gives_zeros() {
    let spec = AttendSpec {
        n_heads: 1,
        n_kv_heads: 1,
        head_dim: 2,
        scale: 1.0,
        rope: None,
        chunk: None,
        q_pos: &[0],
    };
    let mut out = rows(&[&[7.0, 7.0]]);
    let mut groups = [AttendGroup { rows: 0..1, blocks: &[], mass: None, mass_rows: 0..0 }];
    Reference.attend(&spec, &rows(&[&[1.0, 1.0]]), &mut groups, &mut out);
    assert_eq!(out.row(0), [0.0, 0.0]);
}
