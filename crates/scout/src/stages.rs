//! Where the time of forward passes goes: arithmetic with a clock around every call. An engine that is opened without
//! it runs the bare arithmetic, so that the clock costs nothing.

use compute::{AttendGroup, AttendSpec, Ops, Pairing, RopeTable, Rows, Walk};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// A kind of work in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Embedding,
    /// Norms, activation functions and whatever else makes the quantised inputs of products.
    NormsAndQuantise,
    /// Products of all layers.
    Products,
    /// Rotation of queries included.
    Attention,
    /// The product with the vocabulary.
    Head,
}

/// What a stage took. Operations count a multiplication and an addition as two; bytes are those that cross at least
/// once: weights, pages, and rows in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageWork {
    pub time: Duration,
    pub operations: u64,
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Book {
    nanos: AtomicU64,
    operations: AtomicU64,
    bytes: AtomicU64,
}

/// The books of one engine, filled by its passes.
#[derive(Debug, Default)]
pub struct Stages {
    books: [Book; Stage::ALL.len()],
}

impl Stage {
    pub const ALL: [Self; 5] =
        [Self::Embedding, Self::NormsAndQuantise, Self::Products, Self::Attention, Self::Head];

    /// As reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::NormsAndQuantise => "norms_and_quantise",
            Self::Products => "products",
            Self::Attention => "attention",
            Self::Head => "head",
        }
    }
}

impl Stages {
    /// What was done since the last call, stage by stage.
    pub fn take(&self) -> [(Stage, StageWork); Stage::ALL.len()] {
        Stage::ALL.map(|stage| {
            let book = &self.books[stage as usize];
            let work = StageWork {
                time: Duration::from_nanos(book.nanos.swap(0, Relaxed)),
                operations: book.operations.swap(0, Relaxed),
                bytes: book.bytes.swap(0, Relaxed),
            };
            (stage, work)
        })
    }

    fn add(&self, stage: Stage, time: Duration, operations: u64, bytes: u64) {
        let book = &self.books[stage as usize];
        book.nanos.fetch_add(time.as_nanos() as u64, Relaxed);
        book.operations.fetch_add(operations, Relaxed);
        book.bytes.fetch_add(bytes, Relaxed);
    }
}

/// `O` with a clock.
pub(crate) struct Timed<O> {
    ops: O,
    /// Rows of the matrix that is the head.
    vocab: u64,
    stages: Arc<Stages>,
}

/// A packed matrix `[rows, width]`.
pub(crate) struct TimedMatrix<M> {
    matrix: M,
    rows: u64,
    width: u64,
    bytes: u64,
}

impl<O: Ops> Timed<O> {
    pub(crate) fn new(ops: O, vocab: usize, stages: Arc<Stages>) -> Self {
        Self { ops, vocab: vocab as u64, stages }
    }

    fn product(&self, w: &TimedMatrix<O::Matrix>, out: &mut Rows, multiply: impl FnOnce(&mut Rows)) {
        let start = Instant::now();
        multiply(out);
        let time = start.elapsed();
        let stage = if w.rows == self.vocab { Stage::Head } else { Stage::Products };
        let operations = 2 * out.n_rows() as u64 * w.rows * w.width;
        self.stages.add(stage, time, operations, w.bytes + row_bytes(out));
    }

    fn rows(&self, x: &Rows, operations_per_value: u64, work: impl FnOnce()) {
        let start = Instant::now();
        work();
        let time = start.elapsed();
        let operations = operations_per_value * x.as_slice().len() as u64;
        self.stages.add(Stage::NormsAndQuantise, time, operations, row_bytes(x));
    }

    fn attention(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &[AttendGroup<'_>], time: Duration) {
        let per_position = 4 * (spec.n_heads * spec.head_dim) as u64;
        let (mut seen, mut bytes) = (0, 2 * row_bytes(q));
        for group in groups {
            for block in group.blocks {
                bytes += block.page.shape().page_bytes(block.page.dtype()) as u64;
                let slots = |&pos: &u64| block.seen_by(pos, spec.chunk).len() as u64;
                seen += spec.q_pos[group.rows.clone()].iter().map(slots).sum::<u64>();
            }
        }
        self.stages.add(Stage::Attention, time, seen * per_position, bytes);
    }
}

fn row_bytes(rows: &Rows) -> u64 {
    size_of_val(rows.as_slice()) as u64
}

impl<O: Ops> Ops for Timed<O> {
    type Matrix = TimedMatrix<O::Matrix>;
    type Acts = O::Acts;

    fn numerics(&self) -> &'static str {
        self.ops.numerics()
    }

    fn kv_dtype(&self) -> kv::Dtype {
        self.ops.kv_dtype()
    }

    fn matrix(&self, parts: &[&weights::Tensor<'_>]) -> compute::Result<Self::Matrix> {
        let matrix = self.ops.matrix(parts)?;
        Ok(TimedMatrix {
            rows: parts.iter().map(|part| part.rows()).sum(),
            width: parts.first().and_then(|part| part.shape.last()).copied().unwrap_or_default(),
            bytes: self.ops.matrix_bytes(&matrix),
            matrix,
        })
    }

    fn matrix_bytes(&self, matrix: &Self::Matrix) -> u64 {
        matrix.bytes
    }

    fn embed(&self, table: &Self::Matrix, ids: &[u32], x: &mut Rows) {
        let start = Instant::now();
        self.ops.embed(&table.matrix, ids, x);
        let time = start.elapsed();
        let read = ids.len() as u64 * table.bytes / table.rows.max(1);
        self.stages.add(Stage::Embedding, time, x.as_slice().len() as u64, read + row_bytes(x));
    }

    fn norm(&self, x: &Rows, weight: &[f32], eps: f32, acts: &mut Self::Acts) {
        self.rows(x, 4, || self.ops.norm(x, weight, eps, acts));
    }

    fn activations(&self, x: &Rows, acts: &mut Self::Acts) {
        self.rows(x, 1, || self.ops.activations(x, acts));
    }

    fn matmul(&self, acts: &Self::Acts, w: &Self::Matrix, out: &mut Rows) {
        self.product(w, out, |out| self.ops.matmul(acts, &w.matrix, out));
    }

    fn matmul_add(&self, acts: &Self::Acts, w: &Self::Matrix, x: &mut Rows) {
        self.product(w, x, |x| self.ops.matmul_add(acts, &w.matrix, x));
    }

    fn swiglu(&self, gate_up: &Rows, acts: &mut Self::Acts) {
        self.rows(gate_up, 2, || self.ops.swiglu(gate_up, acts));
    }

    fn rope(&self, q: &mut Rows, head_dim: usize, table: &RopeTable, pairing: Pairing, pos: &[u64]) {
        let start = Instant::now();
        self.ops.rope(q, head_dim, table, pairing, pos);
        let time = start.elapsed();
        self.stages.add(Stage::Attention, time, 3 * q.as_slice().len() as u64, 2 * row_bytes(q));
    }

    fn attend(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &mut [AttendGroup<'_>], out: &mut Rows) {
        let start = Instant::now();
        self.ops.attend(spec, q, groups, out);
        self.attention(spec, q, groups, start.elapsed());
    }

    fn walk(&self, spec: &AttendSpec<'_>, n_rows: usize) -> Walk {
        self.ops.walk(spec, n_rows)
    }

    fn walk_on(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &[AttendGroup<'_>], walk: &mut Walk) {
        let start = Instant::now();
        self.ops.walk_on(spec, q, groups, walk);
        self.attention(spec, q, groups, start.elapsed());
    }

    fn walk_end(&self, spec: &AttendSpec<'_>, walk: &Walk, out: &mut Rows) {
        let start = Instant::now();
        self.ops.walk_end(spec, walk, out);
        let time = start.elapsed();
        self.stages.add(Stage::Attention, time, 0, row_bytes(out));
    }
}
