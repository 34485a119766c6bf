//! What a pass costs, stage by stage: `cargo run --release -p scout --example layers -- MODEL [EXPERT_MIB]`. For models
//! without a tokenizer too, such as the slice of Scout that `cargo xtask scout-slice` writes.

use scout::{Arithmetic, Bare, Batch, Numerics, Result, Sequence};
use std::{path::PathBuf, time::Instant};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = PathBuf::from(arguments.next().expect("usage: layers MODEL [EXPERT_MIB]"));
    let expert_mib: Option<u64> = arguments.next().map(|mib| mib.parse().expect("a number of MiB"));
    let expert_bytes = expert_mib.map_or(u64::MAX, |mib| mib << 20);
    let start = Instant::now();
    let model = Bare::open(&model, Arithmetic { expert_bytes, ..Numerics::Fast.into() })?;
    println!("opened in {:.0} ms", ms(start));

    // Ids that a random model routes to all its experts.
    let ids: Vec<u32> = (0..512u32).map(|i| i.wrapping_mul(2_654_435_761) % 200_000).collect();
    let mut sequence = model.sequence();
    pass("first pass, packing what it needs", &model, &mut sequence, &ids[..64])?;
    for n in [64, 512] {
        let mut sequence = model.sequence();
        pass(&format!("prefill of {n} tokens"), &model, &mut sequence, &ids[..n])?;
    }
    let mut sequence = model.sequence();
    model.extend(&mut sequence, &ids[..64])?;
    for (i, id) in ids[64..72].iter().enumerate() {
        pass(&format!("decode {i}"), &model, &mut sequence, &[*id])?;
    }
    Ok(())
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Times one pass with the logits of its last token. The first layer's time has the embedding in it.
fn pass(name: &str, model: &Bare, sequence: &mut Sequence, ids: &[u32]) -> Result<()> {
    let mut at = Instant::now();
    let mut layers = Vec::new();
    let batch = Batch { sequence, ids, logits: ids.len() - 1..ids.len(), mass: None, cancel: None };
    model.forward_by_layer(&mut [batch], &mut || {
        layers.push(ms(at) / ids.len() as f64);
        at = Instant::now();
    })?;
    let layers: Vec<String> = layers.iter().map(|ms| format!("{ms:.2}")).collect();
    println!("{name}: ms per token and layer {}, head {:.1} ms", layers.join(", "), ms(at));
    Ok(())
}
