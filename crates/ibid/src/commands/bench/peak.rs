//! `ibid bench peak`: what this machine could do at best on all threads, to hold the engine's stages against.

use super::{measured::rate, stop_when_cancelled};
use crate::event::Out;
use anyhow::Result;
use compute::Isa;
use serde_json::{Value, json};
use std::{
    fs,
    hint::black_box,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Of each figure the best of the runs in this time: other work on the machine can only make a run slower.
const PERIOD: Duration = Duration::from_millis(500);
const ROUNDS: usize = 1_000_000;

struct Peak {
    name: &'static str,
    unit: &'static str,
    per_s: f64,
    /// All that is read, over all threads.
    set_bytes: Option<u64>,
}

pub fn run(out: &Out) -> Result<()> {
    let mut peaks = vec![
        Peak { name: "int8_dot", unit: "operations", per_s: int8(), set_bytes: None },
        Peak { name: "f32_fma", unit: "operations", per_s: f32_fma(), set_bytes: None },
    ];
    match last_level_cache() {
        Some(cache) => {
            for (name, bytes) in [("read_cached", cache / 4), ("read_memory", cache * 4)] {
                stop_when_cancelled(out)?;
                let (per_s, read) = reading(bytes);
                peaks.push(Peak { name, unit: "bytes", per_s, set_bytes: Some(read) });
            }
        }
        None => out.note("this system does not tell the size of its last cache; reading was not measured"),
    }
    for peak in &peaks {
        out.line(format!("{:<12} {:>8.1} G{}/s", peak.name, peak.per_s / 1e9, peak.unit));
    }
    let result = |peak: &Peak| json!({"name": peak.name, "unit": peak.unit, "per_s": peak.per_s, "set_bytes": peak.set_bytes});
    out.object(json!({
        "object": "bench",
        "kind": "peak",
        "instructions": Isa::best().name(),
        "threads": rayon::current_num_threads(),
        "optimised": !cfg!(debug_assertions),
        "results": peaks.iter().map(result).collect::<Vec<Value>>(),
    }));
    Ok(())
}

/// Operations of int8 dot products a second, an addition and a multiplication being two.
pub fn int8() -> f64 {
    best(|| rayon::broadcast(|_| Isa::best().spin_dots(ROUNDS)).iter().sum())
}

fn f32_fma() -> f64 {
    best(|| rayon::broadcast(|_| Isa::best().spin_fmas(ROUNDS)).iter().sum())
}

/// Bytes a second out of a set of about `bytes`, a stretch of it for each thread; and the size of the set.
fn reading(bytes: u64) -> (f64, u64) {
    let n_threads = rayon::current_num_threads();
    let values = bytes as usize / size_of::<f32>() / n_threads / 64 * 64;
    // Written by the thread that reads it, so that its pages are near that one.
    let stretches: Vec<Mutex<Vec<f32>>> = (0..n_threads).map(|_| Mutex::default()).collect();
    let mine = |at: usize| stretches[at].lock().unwrap_or_else(PoisonError::into_inner);
    rayon::broadcast(|context| *mine(context.index()) = vec![1.0; values]);
    let set = (n_threads * values * size_of::<f32>()) as u64;
    // A small set is read so often that starting the threads takes no part of the time.
    let passes = (256 << 20) / set.max(1) + 1;
    let per_s = best(|| {
        rayon::broadcast(|context| {
            let stretch = mine(context.index());
            for _ in 0..passes {
                black_box(Isa::best().sum(black_box(&stretch)));
            }
        });
        passes * set
    });
    (per_s, set)
}

/// Units a second of the fastest of several runs; `run` gives the units it did.
fn best(mut run: impl FnMut() -> u64) -> f64 {
    let (begin, mut best) = (Instant::now(), 0.0_f64);
    while begin.elapsed() < PERIOD {
        let start = Instant::now();
        let done = run();
        best = best.max(rate(done, start.elapsed().as_secs_f64()));
    }
    best
}

/// Bytes of the cache that lies before memory, of the first processor.
fn last_level_cache() -> Option<u64> {
    let caches = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    let of = |folder: std::path::PathBuf| {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let level: u32 = read("level")?.trim().parse().ok()?;
        Some((level, cache_bytes(read("size")?.trim())?))
    };
    let found = caches.filter_map(|entry| of(entry.ok()?.path()));
    found.max_by_key(|(level, _)| *level).map(|(_, bytes)| bytes)
}

/// `512K`, `32M`
fn cache_bytes(size: &str) -> Option<u64> {
    let shift = match size.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => return size.parse().ok(),
    };
    size[..size.len() - 1].parse::<u64>().ok()?.checked_shl(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_caches_are_read_as_the_system_writes_them() {
        assert_eq!(cache_bytes("512K"), Some(512 << 10));
        assert_eq!(cache_bytes("32M"), Some(32 << 20));
        assert_eq!(cache_bytes("7"), Some(7));
        assert_eq!((cache_bytes(""), cache_bytes("big"), cache_bytes("xK")), (None, None, None));
    }
}
