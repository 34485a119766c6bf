//! Attention of sequences over their streams: all rows that share one walk its pages together, whoever they belong to.

use crate::{
    Cancel, Error, Result,
    forward::{Batch, Gate, Model, Reached},
    stream::Stream,
    top_pages::TopPages,
};
use compute::{AttendGroup, AttendSpec, KvBlock, Ops, PAGE_LEN, PageWeights, Rows, Walk};
use std::{ops::Range, sync::Arc};

/// Pages whose share of a head's weight is smaller count for nothing in a mass.
const LEAST_SHARE: f32 = 1e-4;

/// The rows of one walk, packed: row `i` is row `rows[i]` of the pass.
struct Packed {
    rows: Vec<usize>,
    q: Rows,
    q_pos: Vec<u64>,
    /// Per batch that takes part, its index and its packed rows.
    batches: Vec<(usize, Range<usize>)>,
}

impl<O: Ops> Model<O> {
    /// Attends the rows of all batches that have a stream; `spec` as for the whole pass. Writes those rows of `mixed`.
    /// `gate` is asked after every stretch of pages. A stream whose batches are all cancelled is left alone, and so is what
    /// is wrong with it: its segments may be gone by now.
    pub(crate) fn walk(
        &self,
        l: usize,
        spec: &AttendSpec<'_>,
        q: &Rows,
        batches: &mut [Batch<'_>],
        mixed: &mut Rows,
        gate: &mut Gate<'_>,
    ) -> Result<()> {
        for stream in streams(batches) {
            let packed = pack(&stream, spec, q, batches);
            let cancels: Vec<_> = packed.batches.iter().map(|(at, _)| batches[*at].cancel.clone()).collect();
            let unwanted = || cancels.iter().all(|cancel| cancel.as_ref().is_some_and(Cancel::is_cancelled));
            if unwanted() {
                continue;
            }
            let spec = AttendSpec { q_pos: &packed.q_pos, ..spec.clone() };
            let mut walk = self.ops.walk(&spec, packed.rows.len());
            walk.least_share = LEAST_SHARE;
            for (at, own) in &packed.batches {
                let asked = batches[*at].mass.as_ref().filter(|mass| mass.layers.contains(&l));
                for row in asked.map_or(0..0, |mass| mass.rows.clone()) {
                    walk.listed[own.start + row] = true;
                }
            }
            let all = packed.rows.len();
            let before = stream.before(self.kept(l));
            self.ops.walk_on(&spec, &packed.q, &[group(0..all, &before)], &mut walk);
            walk.pages.clear();
            let mut top = TopPages::new(&walk, all, spec.n_heads);
            let walked = stream.walk(l as u32, &mut |pages, blocks| {
                let of = (&self.ops, &spec, &packed.q, 0..all);
                top.attend(of, (pages, blocks), &mut walk, &mut || {
                    gate(Reached::Within)?;
                    if unwanted() { Err(Error::Cancelled) } else { Ok(()) }
                })
            });
            match walked {
                Err(_) if unwanted() => continue,
                walked => walked?,
            }
            // The mass is that on the stream alone.
            walk.listed.fill(false);
            let own: Vec<_> = packed.batches.iter().map(|(at, _)| batches[*at].sequence.blocks(l)).collect();
            let groups: Vec<AttendGroup<'_>> = packed
                .batches
                .iter()
                .zip(&own)
                .map(|((_, rows), blocks)| group(rows.clone(), blocks))
                .collect();
            self.ops.walk_on(&spec, &packed.q, &groups, &mut walk);
            drop(groups);
            drop(own);
            let mut out = Rows::default();
            self.ops.walk_end(&spec, &walk, &mut out);
            for (at, row) in packed.rows.iter().enumerate() {
                mixed.row_mut(*row).copy_from_slice(out.row(at));
            }
            add_masses(&walk, &top, &packed, spec.n_heads, batches);
        }
        Ok(())
    }
}

/// Adds what the ended walk lists of each batch's rows to the batch's mass.
fn add_masses(walk: &Walk, top: &TopPages, packed: &Packed, n_heads: usize, batches: &mut [Batch<'_>]) {
    // What was much of the weight gathered until a page was seen may be little of all.
    for (page, weights) in top.iter().filter(|(_, page)| counts(walk, page, n_heads)) {
        let of_row = |(_, rows): &&(usize, Range<usize>)| rows.contains(&weights.row);
        let Some((at, _)) = packed.batches.iter().find(of_row) else { continue };
        let Some(mass) = &mut batches[*at].mass else { continue };
        let share = walk.share(weights, n_heads) / (n_heads * mass.rows.len()) as f32;
        let slots = mass.stream.entry(page).or_insert([0.0; PAGE_LEN]);
        slots.iter_mut().zip(&weights.weights).for_each(|(slot, weight)| *slot += weight * share);
    }
}

fn counts(walk: &Walk, page: &PageWeights, n_heads: usize) -> bool {
    walk.share(page, n_heads) * page.weights.iter().sum::<f32>() >= LEAST_SHARE
}

/// Rows that attend to blocks; their mass is listed by the walk.
fn group<'a>(rows: Range<usize>, blocks: &'a [KvBlock<'a>]) -> AttendGroup<'a> {
    AttendGroup { rows, blocks, mass: None, mass_rows: 0..0 }
}

/// The streams of a pass, each once.
fn streams(batches: &[Batch<'_>]) -> Vec<Arc<Stream>> {
    let mut streams: Vec<Arc<Stream>> = Vec::new();
    for stream in batches.iter().filter_map(|batch| batch.sequence.streamed()) {
        if !streams.iter().any(|known| Arc::ptr_eq(known, stream)) {
            streams.push(stream.clone());
        }
    }
    streams
}

fn pack(stream: &Arc<Stream>, spec: &AttendSpec<'_>, q: &Rows, batches: &[Batch<'_>]) -> Packed {
    let mut packed = Packed { rows: Vec::new(), q: Rows::default(), q_pos: Vec::new(), batches: Vec::new() };
    let mut next = 0;
    for (at, batch) in batches.iter().enumerate() {
        let rows = next..next + batch.ids.len();
        next = rows.end;
        if batch.sequence.streamed().is_some_and(|own| Arc::ptr_eq(own, stream)) {
            let first = packed.rows.len();
            packed.rows.extend(rows);
            packed.batches.push((at, first..packed.rows.len()));
        }
    }
    packed.q.resize(packed.rows.len(), q.width());
    for (at, row) in packed.rows.iter().enumerate() {
        packed.q.row_mut(at).copy_from_slice(q.row(*row));
        packed.q_pos.push(spec.q_pos[*row]);
    }
    packed
}

#[cfg(test)]
mod tests {
    use crate::{Cancel, Engine, Error, Numerics, Sequence, forward::Batch};
    use compute::Rows;
    use kv::{Disk, Segment, SegmentId, Store};
    use std::{fs, ops::ControlFlow, path::Path, sync::Arc};

    /// Pages of one window of a stream, and some more.
    const PAGES: usize = 520;

    struct Bench {
        engine: Engine,
        store: Store,
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recall");
            let engine = Engine::open(&model, Numerics::Fast, folder.path(), &mut |_| ()).unwrap();
            let store = Store::open(Arc::new(Disk), folder.path(), 0).unwrap();
            Self { engine, store, folder }
        }

        fn write(&self, ids: &[u32]) -> SegmentId {
            let engine = &self.engine;
            let pages = engine.prefill_part(ids, &mut |_| ControlFlow::Continue(())).unwrap();
            let spec = engine.segment_spec(engine.part_context(""), ids.to_vec());
            let mut writer = self.store.create(spec).unwrap();
            for (layer, pages) in engine.stored_layers().iter().zip(&pages.pages) {
                writer.push_page(*layer, 0, &pages[0]).unwrap();
            }
            writer.finish().unwrap()
        }

        /// A sequence that sees a segment so many times.
        fn sequence(&self, id: &SegmentId, times: usize) -> Sequence {
            let segments: Vec<Segment> =
                (0..times).map(|_| self.store.open_segment(id).unwrap().unwrap()).collect();
            let mut sequence = self.engine.sequence().unwrap();
            sequence.stream(segments, &[]).unwrap();
            sequence
        }
    }

    fn batch<'a>(sequence: &'a mut Sequence, cancel: &Cancel) -> Batch<'a> {
        Batch { sequence, ids: &[65], logits: 0..1, mass: None, cancel: Some(cancel.clone()) }
    }

    #[test]
    fn what_is_wrong_with_the_context_of_one_who_left_hits_nobody() {
        let bench = Bench::new();
        let (sound, damaged) = (bench.write(&[70, 71, 72]), bench.write(&[80, 81]));
        let (stays, leaves) = (Cancel::default(), Cancel::default());
        let name = damaged.to_string();
        let damaged_file = bench.folder.path().join("segments").join(&name[..2]).join(format!("{name}.kv"));
        let bytes = fs::read(&damaged_file).unwrap();
        let together = |damage: bool| -> crate::Result<Rows> {
            fs::write(&damaged_file, &bytes).unwrap();
            let (mut first, mut second) = (bench.sequence(&damaged, 1), bench.sequence(&sound, 3));
            if damage {
                fs::write(&damaged_file, "").unwrap();
            }
            let mut batches = [batch(&mut first, &leaves), batch(&mut second, &stays)];
            bench.engine.run().forward(&mut batches, &mut |_| Ok(()))
        };
        let expected = together(false).unwrap();
        together(true).unwrap_err();
        leaves.cancel();
        assert_eq!(together(true).unwrap().row(1), expected.row(1));
    }

    #[test]
    fn a_walk_asks_after_every_window_whether_it_may_go_on() {
        let bench = Bench::new();
        let id = bench.write(&[70, 71, 72]);
        let asked_until = |stop: usize| {
            let mut sequence = bench.sequence(&id, PAGES);
            let mut asked = 0;
            let ended =
                bench.engine.run().forward(&mut [batch(&mut sequence, &Cancel::default())], &mut |_| {
                    asked += 1;
                    if asked == stop { Err(Error::Cancelled) } else { Ok(()) }
                });
            (asked, ended.is_ok())
        };
        // Eight layers, two of which see everything in two windows each; four have experts, and there is one token.
        assert_eq!(asked_until(usize::MAX), (8 + 2 * 2 + 4, true));
        // In the fourth layer, behind its first window: three layers are through, and one had an expert.
        assert_eq!(asked_until(5), (5, false));
    }
}
