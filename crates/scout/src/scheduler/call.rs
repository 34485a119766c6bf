//! One caller's steps on their way through the passes: they own the sequences meanwhile, and are cut into tiles.

use super::{Cancel, QuestionId};
use crate::{
    decode::{Decoding, Step},
    forward::{Batch, Mass},
    sequence::Sequence,
};
use compute::Rows;
use kv::PAGE_TOKENS;
use std::{mem, ops::Range};

/// A stretch whose attention mass is asked for is cut at multiples of this many rows and nowhere else: the mass is an
/// f32 sum over rows, and its bits must not depend on who else is asking. Logits may be cut anywhere.
const MASS_TILE: usize = 128;

/// What one call of `step` asks for.
pub(super) struct Call {
    pub question: QuestionId,
    pub cancel: Cancel,
    stretches: Vec<Stretch>,
    /// `[asked rows in step order, vocab]`
    logits: Rows,
}

/// One step: `ids` behind one sequence.
pub(super) struct Stretch {
    sequence: Sequence,
    start_pos: u64,
    ids: Vec<u32>,
    /// Rows of `ids` that ran.
    done: usize,
    /// Rows behind them that the next pass runs.
    tile: usize,
    asked: Range<usize>,
    /// Row of the call's logits that `asked.start` goes to.
    first_logits: usize,
    mass: Option<Mass>,
}

impl Call {
    /// Moves the sequences out of `steps`; [`Call::give_back`] puts them back.
    ///
    /// # Panics
    /// When a step asks for rows that it does not have, or its sequence is spent: here, where nobody else's steps are in
    /// danger.
    pub fn take(question: QuestionId, cancel: &Cancel, steps: &mut [Step<'_>], vocab: usize) -> Self {
        let mut n_logits = 0;
        let stretches = steps
            .iter_mut()
            .map(|step| {
                let stretch = Stretch::take(step, n_logits);
                n_logits += stretch.asked.len();
                stretch
            })
            .collect();
        Self { question, cancel: cancel.clone(), stretches, logits: Rows::zeros(n_logits, vocab) }
    }

    pub fn is_done(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.left() == 0)
    }

    /// The next stretch with rows that fit `room` and are in no tile yet, and how many.
    pub fn fit(&self, room: usize, tokens_only: bool) -> Option<(usize, usize)> {
        let fit = |stretch: &Stretch| if tokens_only && stretch.left() > 1 { 0 } else { stretch.fit(room) };
        self.stretches.iter().map(fit).enumerate().find(|(_, rows)| *rows > 0)
    }

    pub fn put_into_pass(&mut self, stretch: usize, rows: usize) {
        self.stretches[stretch].tile = rows;
    }

    pub fn is_in_pass(&self) -> bool {
        self.stretches.iter().any(|stretch| stretch.tile > 0)
    }

    pub fn batches(&mut self) -> impl Iterator<Item = Batch<'_>> {
        let cancel = &self.cancel;
        self.stretches.iter_mut().filter(|stretch| stretch.tile > 0).map(|stretch| stretch.batch(cancel))
    }

    /// Takes what a pass gave for the call's tiles: the logits of their rows and a mass for each, in order.
    pub fn accept<'a>(
        &mut self,
        rows: &mut impl Iterator<Item = &'a [f32]>,
        masses: &mut impl Iterator<Item = Option<Mass>>,
    ) {
        for stretch in self.stretches.iter_mut().filter(|stretch| stretch.tile > 0) {
            let within = stretch.within(&stretch.asked);
            for (row, values) in within.zip(&mut *rows) {
                let at = stretch.first_logits + stretch.done + row - stretch.asked.start;
                self.logits.row_mut(at).copy_from_slice(values);
            }
            stretch.accept_mass(masses.next().flatten());
            stretch.done += mem::take(&mut stretch.tile);
        }
    }

    /// Takes back what an unfinished pass wrote; its tiles may run again.
    pub fn undo_tiles(&mut self) {
        for stretch in &mut self.stretches {
            stretch.sequence.truncate(stretch.start_pos + stretch.done as u64);
        }
    }

    /// Takes back all that ran.
    pub fn undo(&mut self) {
        for stretch in &mut self.stretches {
            stretch.sequence.truncate(stretch.start_pos);
        }
    }

    /// Puts the sequences back into the steps they came from.
    pub fn give_back(self, steps: &mut [Step<'_>]) -> Decoding {
        let (mut mass, mut stream_mass) = (Vec::with_capacity(steps.len()), Vec::with_capacity(steps.len()));
        for (step, mut stretch) in steps.iter_mut().zip(self.stretches) {
            stream_mass
                .push(stretch.mass.as_mut().map(|mass| mem::take(&mut mass.stream)).unwrap_or_default());
            mass.push(stretch.mass.map_or_else(Vec::new, |mut mass| {
                mass.values.resize(stretch.sequence.n_blocks() * PAGE_TOKENS, 0.0);
                let layers = mass.layers.len().max(1) as f32;
                mass.values.iter().map(|v| v / layers).collect()
            }));
            *step.sequence = stretch.sequence;
            step.sequence.close_chunks();
        }
        Decoding { logits: self.logits, mass, stream_mass }
    }
}

impl Stretch {
    fn take(step: &mut Step<'_>, first_logits: usize) -> Self {
        let (ids, asked) = (step.ids.to_vec(), step.logits.clone());
        assert!(asked.start <= asked.end && asked.end <= ids.len(), "logits {asked:?} of {} rows", ids.len());
        let mass = step.mass.clone().map(|(rows, layers)| {
            assert!(rows.start <= rows.end && rows.end <= ids.len(), "mass {rows:?} of {} rows", ids.len());
            Mass::new(rows, layers)
        });
        assert!(!step.sequence.is_spent(), "a sequence of a cancelled question cannot be asked on");
        let start_pos = step.sequence.next_pos();
        let sequence = step.sequence.take();
        Self { sequence, start_pos, ids, done: 0, tile: 0, asked, first_logits, mass }
    }

    fn left(&self) -> usize {
        self.ids.len() - self.done
    }

    fn fit(&self, room: usize) -> usize {
        if self.tile > 0 {
            return 0;
        }
        if self.mass.is_none() {
            return self.left().min(room);
        }
        let tile = self.left().min(MASS_TILE - self.done % MASS_TILE);
        if tile <= room { tile } else { 0 }
    }

    /// The part of `rows` that lies in the tile, counted from its start.
    fn within(&self, rows: &Range<usize>) -> Range<usize> {
        let row = |at: usize| at.clamp(self.done, self.done + self.tile) - self.done;
        row(rows.start)..row(rows.end)
    }

    fn batch(&mut self, cancel: &Cancel) -> Batch<'_> {
        let logits = self.within(&self.asked);
        let mass = self.mass.as_ref().map(|mass| (self.within(&mass.rows), mass.layers.clone()));
        let mass = mass.filter(|(rows, _)| !rows.is_empty());
        Batch {
            sequence: &mut self.sequence,
            ids: &self.ids[self.done..self.done + self.tile],
            logits,
            mass: mass.map(|(rows, layers)| Mass::new(rows, layers)),
            cancel: Some(cancel.clone()),
        }
    }

    /// Adds a tile's mass, the mean over its own rows, to the mean over all. A single tile keeps its bits.
    fn accept_mass(&mut self, tile: Option<Mass>) {
        let (Some(mass), Some(tile)) = (&mut self.mass, tile) else { return };
        let share = tile.rows.len() as f32 / mass.rows.len() as f32;
        mass.values.resize(tile.values.len(), 0.0);
        mass.values.iter_mut().zip(&tile.values).for_each(|(mass, value)| *mass += value * share);
        for (page, slots) in tile.stream {
            let sum = mass.stream.entry(page).or_insert([0.0; PAGE_TOKENS]);
            sum.iter_mut().zip(slots).for_each(|(sum, value)| *sum += value * share);
        }
    }
}
