//! What the kernels are measured on: the shapes of SmolLM2-135M.

use compute::{AttendGroup, AttendSpec, Int8, Isa, KvBlock, Ops, PAGE_LEN, Pairing, RopeTable, Rows};
use weights::testing::GgufWriter;
use weights::{DType, Model};

pub type Matrix = <Int8 as Ops>::Matrix;
pub type Acts = <Int8 as Ops>::Acts;

pub const WIDTH: usize = 576;
pub const HIDDEN: usize = 1536;
const N_HEADS: usize = 9;
const N_KV_HEADS: usize = 3;
pub const HEAD_DIM: usize = 64;
/// Layers: their pages of 4,096 tokens are 50 MB in int8, more than caches hold.
pub const LAYERS: usize = 30;

/// A weight matrix `[n_out, width]`.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub n_out: usize,
    pub width: usize,
    pub dtype: DType,
}

pub const SHAPES: [Shape; 5] = [
    Shape { name: "q+k+v", n_out: 960, width: WIDTH, dtype: DType::Q4_1 },
    Shape { name: "attention out", n_out: WIDTH, width: WIDTH, dtype: DType::Q4_1 },
    Shape { name: "gate+up", n_out: 2 * HIDDEN, width: WIDTH, dtype: DType::Q4_1 },
    Shape { name: "down", n_out: WIDTH, width: HIDDEN, dtype: DType::Q4_1 },
    Shape { name: "logits", n_out: 49152, width: WIDTH, dtype: DType::Q8_0 },
];

/// The fast path on every instruction set of this machine but the scalar one, fastest first.
pub fn vector_sets() -> Vec<Int8> {
    let mut sets = Isa::available();
    sets.retain(|isa| isa.name() != "scalar");
    sets.into_iter().map(Int8::with_isa).collect()
}

/// Cubes of uniform noise (xorshift): 45 of 100 groups stand out of their row and have a second term. In SmolLM2-135M it
/// is 29 (norms) to 54 (SwiGLU).
pub fn noise(n_rows: usize, width: usize) -> Rows {
    let mut state = 7u64;
    let mut value = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0).powi(3)
    };
    Rows::from_vec((0..n_rows * width).map(&mut value).collect(), width)
}

pub fn matrix(ops: Int8, shape: Shape) -> Matrix {
    let Shape { n_out, width, dtype, .. } = shape;
    let n_blocks = n_out * width / dtype.block_len() as usize;
    let mut bytes = Vec::new();
    for block in 0..n_blocks as u64 {
        bytes.extend(half::f16::from_f32(0.01).to_le_bytes());
        bytes.extend(
            (2..dtype.block_bytes()).map(|i| (block.wrapping_mul(31).wrapping_add(i * 97) % 60) as u8),
        );
    }
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().expect("temporary file");
    let model = GgufWriter::new().tensor("w", dtype, &[n_out as u64, width as u64], &bytes).to_bytes();
    std::fs::write(file.path(), model).expect("write model");
    let model = Model::open(file.path()).expect("open model");
    ops.matrix(&[&model.tensor("w").expect("tensor")]).expect("pack")
}

/// The last `n_rows` of `n_tokens` attend to all before them.
pub struct Attention {
    /// Of some layers, which are attended to in turn.
    layers: Vec<Vec<kv::PageBuf>>,
    table: RopeTable,
    q: Rows,
    q_pos: Vec<u64>,
    calls: usize,
    out: Rows,
}

impl Attention {
    pub fn new(dtype: kv::Dtype, n_rows: usize, n_tokens: usize, n_layers: usize) -> Self {
        let freqs: Vec<f64> = (0..HEAD_DIM / 2).map(|i| 1e5f64.powf(i as f64 / -32.0)).collect();
        let mut page = kv::PageBuf::new(kv::PageShape { n_kv_heads: N_KV_HEADS, head_dim: HEAD_DIM }, dtype);
        let row = noise(1, N_KV_HEADS * HEAD_DIM);
        for slot in 0..PAGE_LEN {
            page.write_row(slot, row.row(0), row.row(0)).expect("row");
        }
        Self {
            layers: vec![vec![page; n_tokens / PAGE_LEN]; n_layers],
            table: RopeTable::new(&freqs, n_tokens),
            q: noise(n_rows, N_HEADS * HEAD_DIM),
            q_pos: (n_tokens - n_rows..n_tokens).map(|pos| pos as u64).collect(),
            calls: 0,
            out: Rows::default(),
        }
    }

    /// Operations of scores and weighted values in one call.
    pub fn operations(&self) -> u64 {
        let seen: u64 = self.q_pos.iter().map(|pos| pos + 1).sum();
        4 * seen * (N_HEADS * HEAD_DIM) as u64
    }

    pub fn attend(&mut self, ops: Int8) {
        let pages = &self.layers[self.calls % self.layers.len()];
        self.calls += 1;
        let block = |(i, page)| {
            let pos = (i * PAGE_LEN) as u64;
            KvBlock { page, visible: 0..PAGE_LEN, first_pos: pos, stored_pos: pos }
        };
        let blocks: Vec<KvBlock<'_>> = pages.iter().enumerate().map(block).collect();
        let spec = AttendSpec {
            n_heads: N_HEADS,
            n_kv_heads: N_KV_HEADS,
            head_dim: HEAD_DIM,
            scale: 0.125,
            rope: Some((&self.table, Pairing::Interleaved)),
            chunk: None,
            q_pos: &self.q_pos,
        };
        let rows = 0..self.q_pos.len();
        let mut groups = [AttendGroup { rows, blocks: &blocks, mass: None, mass_rows: 0..0 }];
        ops.attend(&spec, &self.q, &mut groups, &mut self.out);
    }
}
