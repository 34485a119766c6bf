//! Speed of every kernel of the fast path on every vector instruction set of this machine, beside the int8 peak of the
//! same run.
//!
//! `cargo bench -p compute` (threads: `RAYON_NUM_THREADS`), or some alone: `cargo bench -p compute -- attention`. Items are
//! operations (a multiplication and an addition are two), in rows of norm and SwiGLU elements. Operations of products are
//! those of the matrix product as it is written; second terms come on top and are not counted. Other work on the machine
//! can only make a run slower: the fastest sample says most.

mod inputs;

use compute::{Int8, Ops, Rows};
use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use inputs::{Acts, Attention, HIDDEN, LAYERS, SHAPES, Shape, WIDTH, matrix, noise, vector_sets};
use std::fmt;

fn main() {
    println!("{} threads", rayon::current_num_threads());
    // On a thread of the pool, as passes run: from outside every call would wait until one wakes.
    rayon::scope(|_| divan::main());
}

/// A kernel on an instruction set.
#[derive(Clone, Copy)]
struct On<T>(Int8, T);

fn on_every_set<T: Copy>(cases: &[T]) -> Vec<On<T>> {
    vector_sets().into_iter().flat_map(|ops| cases.iter().map(move |&case| On(ops, case))).collect()
}

#[derive(Clone, Copy)]
struct Product {
    shape: Shape,
    n_rows: usize,
}

impl fmt::Display for On<Product> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Product { shape: Shape { name, n_out, width, dtype }, n_rows } = self.1;
        write!(f, "{} {name} {dtype} {n_out} x {width}, {n_rows} rows", self.0.isa().name())
    }
}

fn products() -> Vec<On<Product>> {
    let few = |shape: Shape| if shape.name == "logits" { &[1, 8][..] } else { &[1, 8, 64, 512] };
    let cases = |shape| few(shape).iter().map(move |&n_rows| Product { shape, n_rows });
    on_every_set(&SHAPES.into_iter().flat_map(cases).collect::<Vec<_>>())
}

#[divan::bench(args = products(), max_time = 1)]
fn product(bencher: Bencher<'_, '_>, &On(ops, Product { shape, n_rows }): &On<Product>) {
    let (w, mut acts, mut out) = (matrix(ops, shape), Acts::default(), Rows::default());
    ops.activations(&noise(n_rows, shape.width), &mut acts);
    let operations = ItemsCount::new(2 * n_rows * shape.n_out * shape.width);
    bencher.counter(operations).bench_local(|| ops.matmul(&acts, &w, &mut out));
}

/// The products of tokens that are decoded together: every layer has its own weights, which no cache holds all of.
#[divan::bench(args = on_every_set(&[1, 8]), max_time = 1)]
fn decoded_token(bencher: Bencher<'_, '_>, &On(ops, n_rows): &On<usize>) {
    let of_layer = |_| SHAPES[..4].iter().map(|&shape| matrix(ops, shape)).collect::<Vec<_>>();
    let layers: Vec<_> = (0..LAYERS).map(of_layer).collect();
    let inputs = SHAPES[..4].iter().map(|shape| {
        let mut acts = Acts::default();
        ops.activations(&noise(n_rows, shape.width), &mut acts);
        (acts, Rows::default())
    });
    let mut inputs: Vec<_> = inputs.collect();
    let bytes: u64 = layers.iter().flatten().map(|w| ops.matrix_bytes(w)).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for layer in &layers {
            for (w, (acts, out)) in layer.iter().zip(&mut inputs) {
                ops.matmul(acts, w, out);
            }
        }
    });
}

#[derive(Clone, Copy)]
struct Rest {
    dtype: kv::Dtype,
    n_rows: usize,
    n_tokens: usize,
    n_layers: usize,
}

impl fmt::Display for On<Rest> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rest { dtype, n_rows, n_tokens, n_layers } = self.1;
        let pages = if n_layers > 1 { "from memory" } else { "from cache" };
        write!(f, "{} {} {n_rows} rows over {n_tokens}, {pages}", self.0.isa().name(), dtype.name())
    }
}

fn rests() -> Vec<On<Rest>> {
    let shapes =
        [(512, 512, 1), (1, 512, 1), (1, 4096, 1), (1, 4096, LAYERS), (64, 4096, 1), (64, 4096, LAYERS)];
    let cases = [kv::Dtype::Int8, kv::Dtype::K6V4, kv::Dtype::Bf16].into_iter().flat_map(|dtype| {
        shapes.map(|(n_rows, n_tokens, n_layers)| Rest { dtype, n_rows, n_tokens, n_layers })
    });
    on_every_set(&cases.collect::<Vec<_>>())
}

#[divan::bench(args = rests(), max_time = 1)]
fn attention(bencher: Bencher<'_, '_>, &On(ops, rest): &On<Rest>) {
    let mut attention = Attention::new(rest.dtype, rest.n_rows, rest.n_tokens, rest.n_layers);
    let operations = ItemsCount::new(attention.operations());
    bencher.counter(operations).bench_local(|| attention.attend(ops));
}

impl fmt::Display for On<usize> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} rows", self.0.isa().name(), self.1)
    }
}

fn row_counts() -> Vec<On<usize>> {
    on_every_set(&[1, 512])
}

#[divan::bench(args = row_counts(), max_time = 1)]
fn norm(bencher: Bencher<'_, '_>, &On(ops, n_rows): &On<usize>) {
    let (x, weight, mut acts) = (noise(n_rows, WIDTH), vec![1.0; WIDTH], Acts::default());
    let elements = ItemsCount::new(n_rows * WIDTH);
    bencher.counter(elements).bench_local(|| ops.norm(&x, &weight, 1e-5, &mut acts));
}

#[divan::bench(args = row_counts(), max_time = 1)]
fn swiglu(bencher: Bencher<'_, '_>, &On(ops, n_rows): &On<usize>) {
    let (gate_up, mut acts) = (noise(n_rows, 2 * HIDDEN), Acts::default());
    let elements = ItemsCount::new(n_rows * HIDDEN);
    bencher.counter(elements).bench_local(|| ops.swiglu(&gate_up, &mut acts));
}

impl fmt::Display for On<()> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.isa().name())
    }
}

fn sets() -> Vec<On<()>> {
    on_every_set(&[()])
}

/// What products are measured by: nothing but int8 dot products in registers, on all threads.
#[divan::bench(args = sets(), max_time = 1)]
fn peak(bencher: Bencher<'_, '_>, &On(ops, ()): &On<()>) {
    const ROUNDS: usize = 1_000_000;
    let spin = || rayon::broadcast(|_| ops.isa().spin_dots(ROUNDS)).iter().sum::<u64>();
    bencher.counter(ItemsCount::new(spin())).bench_local(spin);
}
