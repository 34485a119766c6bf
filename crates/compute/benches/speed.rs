//! Speed of the fast path's products and attention, beside the int8 peak of the same run.
//!
//! `cargo bench -p compute` (threads: `RAYON_NUM_THREADS`), or one part alone: `cargo bench -p compute -- attention`. Every
//! figure is the best of several runs, because other work on the machine can only make a run slower. Operations are those
//! of the matrix product as it is written; second terms come on top and are not counted.

use std::time::Instant;

use compute::{AttendGroup, AttendSpec, Int8, KvBlock, Ops, PAGE_LEN, Pairing, RopeTable, Rows};
use weights::testing::GgufWriter;
use weights::{DType, Model};

/// Shapes of SmolLM2-135M: `[out, in]`.
const SHAPES: [(&str, usize, usize); 5] = [
    ("q+k+v", 960, 576),
    ("attention out", 576, 576),
    ("gate+up", 3072, 576),
    ("down", 576, 1536),
    ("logits", 49152, 576),
];

/// Layers of SmolLM2-135M: their pages of 4,096 tokens are 50 MB in int8, more than caches hold.
const LAYERS: usize = 30;

/// Best seconds of `run`.
fn best(mut run: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut n_runs = 0;
    while n_runs < 5 || (begin.elapsed().as_secs_f64() < 0.5 && n_runs < 20_000) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        n_runs += 1;
    }
    best
}

fn peak(ops: Int8) -> f64 {
    let rounds = 1_000_000;
    let mut done = 0;
    let seconds = best(|| done = rayon::broadcast(|_| ops.isa().spin_dots(rounds)).iter().sum());
    done as f64 / seconds / 1e9
}

/// Cubes of uniform noise (xorshift): 45 of 100 groups stand out of their row and have a second term. In SmolLM2-135M it
/// is 29 (norms) to 54 (SwiGLU).
fn noise(n_rows: usize, width: usize) -> Rows {
    let mut state = 7u64;
    let mut value = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0).powi(3)
    };
    Rows::from_vec((0..n_rows * width).map(&mut value).collect(), width)
}

fn random_matrix(ops: Int8, dtype: DType, n_out: usize, width: usize) -> <Int8 as Ops>::Matrix {
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

fn products(ops: Int8, peak: f64) {
    for (name, n_out, width) in SHAPES {
        let dtype = if name == "logits" { DType::Q8_0 } else { DType::Q4_1 };
        let w = random_matrix(ops, dtype, n_out, width);
        for n_rows in [1, 8, 64, 512] {
            if name == "logits" && n_rows > 8 {
                continue;
            }
            let (mut acts, mut out) = (Default::default(), Rows::default());
            ops.activations(&noise(n_rows, width), &mut acts);
            let seconds = best(|| ops.matmul(&acts, &w, &mut out));
            let gops = 2.0 * (n_rows * n_out * width) as f64 / seconds / 1e9;
            let micros = seconds * 1e6;
            let part = 100.0 * gops / peak;
            println!(
                "{name:14} {dtype:5} M={n_rows:3}: {gops:7.1} GOP/s, {part:4.1} % of peak, {micros:8.1} us"
            );
        }
    }
}

fn attention(ops: Int8) {
    let (n_heads, n_kv_heads, head_dim) = (9, 3, 64);
    let freqs: Vec<f64> = (0..32).map(|i| 1e5f64.powf(f64::from(i) / -32.0)).collect();
    let table = RopeTable::new(&freqs, 8192);
    let shape = kv::PageShape { n_kv_heads, head_dim };
    let row = noise(1, shape.row_values());
    let cases =
        [(512, 512, 1), (1, 512, 1), (1, 4096, 1), (1, 4096, LAYERS), (64, 4096, 1), (64, 4096, LAYERS)];
    let dtypes = [kv::Dtype::Int8, kv::Dtype::K6V4, kv::Dtype::Bf16];
    for (dtype, (n_rows, n_tokens, n_layers)) in
        dtypes.iter().flat_map(|&dtype| cases.map(|case| (dtype, case)))
    {
        let mut page = kv::PageBuf::new(shape, dtype);
        for slot in 0..PAGE_LEN {
            page.write_row(slot, row.row(0), row.row(0)).expect("row");
        }
        let layers = vec![vec![page; n_tokens / PAGE_LEN]; n_layers];
        let block = |(i, page)| {
            let pos = (i * PAGE_LEN) as u64;
            KvBlock { page, visible: 0..PAGE_LEN, first_pos: pos, stored_pos: pos }
        };
        let layers: Vec<Vec<KvBlock<'_>>> =
            layers.iter().map(|pages| pages.iter().enumerate().map(block).collect()).collect();
        let q_pos: Vec<u64> = (n_tokens - n_rows..n_tokens).map(|pos| pos as u64).collect();
        let rope = Some((&table, Pairing::Interleaved));
        let spec =
            AttendSpec { n_heads, n_kv_heads, head_dim, scale: 0.125, rope, chunk: None, q_pos: &q_pos };
        let (q, mut out) = (noise(n_rows, n_heads * head_dim), Rows::default());
        let mut layer = layers.iter().cycle();
        let seconds = best(|| {
            let blocks = layer.next().expect("layers go round");
            let mut groups = [AttendGroup { rows: 0..n_rows, blocks, mass: None, mass_rows: 0..0 }];
            ops.attend(&spec, &q, &mut groups, &mut out);
        });
        let (dtype, micros) = (dtype.name(), seconds * 1e6);
        let seen: u64 = q_pos.iter().map(|pos| pos + 1).sum();
        let gflops = 4.0 * (seen as usize * n_heads * head_dim) as f64 / seconds / 1e9;
        println!(
            "attend {n_rows:3} rows over {n_tokens:4} {dtype:4} x {n_layers:2}: {gflops:6.1} GFLOP/s, {micros:8.1} us"
        );
    }
}

fn row_stages(ops: Int8) {
    for n_rows in [1, 512] {
        let (x, wide, weight) = (noise(n_rows, 576), noise(n_rows, 3072), vec![1.0; 576]);
        let mut acts = Default::default();
        let norm = best(|| ops.norm(&x, &weight, 1e-5, &mut acts)) * 1e6;
        let swiglu = best(|| ops.swiglu(&wide, &mut acts)) * 1e6;
        println!("{n_rows:3} rows: norm {norm:.1} us, swiglu {swiglu:.1} us");
    }
}

fn main() {
    let ops = Int8::new();
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let peak = peak(ops);
    println!("{}, {} threads, int8 peak {peak:.0} GOP/s", ops.isa().name(), rayon::current_num_threads());
    if wanted("products") {
        products(ops, peak);
    }
    if wanted("attention") {
        attention(ops);
    }
    if wanted("rows") {
        row_stages(ops);
    }
}
