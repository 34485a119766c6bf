//! One call of a kernel on one instruction set, for a program that counts instructions (`cargo xtask instructions`):
//!   one_call KERNEL INSTRUCTION_SET
//! Without arguments it lists both. What is to be counted happens in `counted`, on the calling thread.

// The benches use more of it.
#[allow(dead_code)]
#[path = "../benches/kernels/inputs.rs"]
mod inputs;

use compute::{Int8, Isa, Ops, Rows};
use inputs::{Acts, Attention, HIDDEN, SHAPES, WIDTH, matrix, noise};

/// Rows of a product, a norm and SwiGLU.
const ROWS: usize = 8;

#[inline(never)]
fn counted(call: &mut dyn FnMut()) {
    call();
}

/// Names, and operations or elements of a call.
fn kernels() -> Vec<(String, u64)> {
    let products = SHAPES[..4]
        .iter()
        .map(|shape| (format!("product {}", shape.name), 2 * (ROWS * shape.n_out * shape.width) as u64));
    let attention = [kv::Dtype::Int8, kv::Dtype::K6V4, kv::Dtype::Bf16].map(|dtype| {
        (format!("attention {}", dtype.name()), Attention::new(dtype, ROWS, 512, 1).operations())
    });
    let rows =
        [("norm", WIDTH), ("swiglu", HIDDEN)].map(|(name, width)| (name.to_owned(), (ROWS * width) as u64));
    products.chain(attention).chain(rows).collect()
}

fn run(kernel: &str, ops: Int8) {
    let (mut acts, mut out) = (Acts::default(), Rows::default());
    match kernel.split_once(' ') {
        Some(("product", name)) => {
            let shape = *SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
            let w = matrix(ops, shape);
            ops.activations(&noise(ROWS, shape.width), &mut acts);
            counted(&mut || ops.matmul(&acts, &w, &mut out));
        }
        Some(("attention", dtype)) => {
            let dtypes = [kv::Dtype::Int8, kv::Dtype::K6V4, kv::Dtype::Bf16];
            let dtype = dtypes.into_iter().find(|each| each.name() == dtype).expect("a type");
            let mut attention = Attention::new(dtype, ROWS, 512, 1);
            counted(&mut || attention.attend(ops));
        }
        _ if kernel == "norm" => {
            let (x, weight) = (noise(ROWS, WIDTH), vec![1.0; WIDTH]);
            counted(&mut || ops.norm(&x, &weight, 1e-5, &mut acts));
        }
        _ => {
            let gate_up = noise(ROWS, 2 * HIDDEN);
            counted(&mut || ops.swiglu(&gate_up, &mut acts));
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kernel, set] = &arguments[..] else {
        kernels().iter().for_each(|(name, operations)| println!("{name}\t{operations}"));
        return;
    };
    let isa = Isa::available().into_iter().find(|isa| isa.name() == set);
    let Some(isa) = isa else {
        println!("this machine has no {set}");
        std::process::exit(3);
    };
    assert!(kernels().iter().any(|(name, _)| name == kernel), "no kernel {kernel}");
    // The pool is this thread, so that counting follows the call.
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build_global()
        .expect("a pool of this thread");
    run(kernel, Int8::with_isa(isa));
}
