//! What the golden logits of the tiny model catch: a second forward pass, in f64 and written for this purpose alone,
//! agrees with them; each plausible mistake put into it does not, by more than parity tolerates.

use crate::golden::{expected, fixture};
use crate::llama4::TOLERANCE;
use weights::Model;

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 16;
const CHUNK: usize = 16;
const FLOOR_SCALE: f64 = 16.0;
const LAYERS: usize = 8;
const EPS: f64 = 1e-5;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// Equivalent: rotation keeps lengths.
    NormBeforeRotation,
    SmallerEps,
    NoNorm,
    LengthInsteadOfRms,
    NormOnNope,
    TemperatureOfP,
    NoTemperature,
    RotateHalf,
    NoScaling,
    Factor8,
    SlidingWindow,
    NoChunks,
    SoftmaxRouter,
    ScoreOnOutput,
    UpBeforeGate,
    InterleavedGateUp,
}
use Mistake as M;

type Matrix = Vec<Vec<f64>>;

fn matrix(model: &Model, name: &str) -> Matrix {
    let tensor = model.tensor(name).unwrap();
    let cols = tensor.cols() as usize;
    tensor
        .dequantise()
        .unwrap()
        .chunks_exact(cols)
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `w · x`, `w` `[out, in]`
fn times(w: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    w.iter().map(|row| dot(row, x)).collect()
}

/// `x · w`, `w` `[in, out]`
fn times_stored_by_input(w: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; w[0].len()];
    for (x, row) in x.iter().zip(w) {
        out.iter_mut().zip(row).for_each(|(out, w)| *out += x * w);
    }
    out
}

fn rms(x: &[f64], eps: f64) -> Vec<f64> {
    let factor = 1.0 / (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter().map(|x| x * factor).collect()
}

fn normed(x: &[f64], weight: &[f64]) -> Vec<f64> {
    rms(x, EPS).iter().zip(weight).map(|(x, w)| x * w).collect()
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

struct Pass<'a> {
    model: &'a Model,
    mistake: Mistake,
}

impl Pass<'_> {
    fn layer(&self, l: usize, name: &str) -> Matrix {
        matrix(self.model, &format!("model.layers.{l}.{name}"))
    }

    fn frequencies(&self) -> Vec<f64> {
        let factor = if self.mistake == M::Factor8 { 8.0 } else { 16.0 };
        let scaled = |base: f64| if std::f64::consts::TAU / base > 32.0 { base / factor } else { base };
        let base = (0..HEAD_DIM / 2).map(|i| 10_000.0f64.powf(-2.0 * i as f64 / HEAD_DIM as f64));
        base.map(|base| if self.mistake == M::NoScaling { base } else { scaled(base) }).collect()
    }

    fn rotate(&self, head: &[f64], pos: usize) -> Vec<f64> {
        let mut out = head.to_vec();
        for (i, frequency) in self.frequencies().iter().enumerate() {
            let half = self.mistake == M::RotateHalf;
            let (a, b) = if half { (i, i + HEAD_DIM / 2) } else { (2 * i, 2 * i + 1) };
            let (sin, cos) = (pos as f64 * frequency).sin_cos();
            (out[a], out[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
        }
        out
    }

    /// Queries or keys of one token, head by head, as layer `l` compares them.
    fn heads(&self, l: usize, x: &[f64], pos: usize, is_query: bool) -> Vec<Vec<f64>> {
        let rotating = !(l + 1).is_multiple_of(4);
        let norm = |head: Vec<f64>| match self.mistake {
            M::NoNorm => head,
            M::LengthInsteadOfRms => {
                let length = dot(&head, &head).sqrt();
                head.iter().map(|x| x / length).collect()
            }
            M::SmallerEps => rms(&head, 1e-6),
            _ => rms(&head, EPS),
        };
        let steps = (if self.mistake == M::TemperatureOfP { pos } else { pos + 1 }) as f64 / FLOOR_SCALE;
        let temperature = match (is_query, self.mistake) {
            (false, _) | (_, M::NoTemperature) => 1.0,
            _ => 1.0 + 0.1 * (steps.floor() + 1.0).ln(),
        };
        x.chunks_exact(HEAD_DIM)
            .map(|head| match (rotating, self.mistake) {
                (true, M::NormBeforeRotation) => self.rotate(&norm(head.to_vec()), pos),
                (true, _) => norm(self.rotate(head, pos)),
                (false, M::NormOnNope) => rms(head, EPS).iter().map(|x| x * temperature).collect(),
                (false, _) => head.iter().map(|x| x * temperature).collect(),
            })
            .collect()
    }

    fn sees(&self, l: usize, query: usize, key: usize) -> bool {
        let rotating = !(l + 1).is_multiple_of(4);
        match self.mistake {
            _ if key > query => false,
            _ if !rotating => true,
            M::SlidingWindow => key + CHUNK > query,
            M::NoChunks => true,
            _ => key / CHUNK == query / CHUNK,
        }
    }

    fn attention(&self, l: usize, h: &mut [Vec<f64>]) {
        let weight = |name: &str| self.layer(l, &format!("self_attn.{name}_proj.weight"));
        let (wq, wk, wv, wo) = (weight("q"), weight("k"), weight("v"), weight("o"));
        let norm = self.layer(l, "input_layernorm.weight").remove(0);
        let x: Matrix = h.iter().map(|h| normed(h, &norm)).collect();
        let queries: Vec<Matrix> =
            x.iter().enumerate().map(|(p, x)| self.heads(l, &times(&wq, x), p, true)).collect();
        let keys: Vec<Matrix> =
            x.iter().enumerate().map(|(p, x)| self.heads(l, &times(&wk, x), p, false)).collect();
        let values: Vec<Vec<f64>> = x.iter().map(|x| times(&wv, x)).collect();
        for (p, h) in h.iter_mut().enumerate() {
            let seen: Vec<usize> = (0..=p).filter(|&key| self.sees(l, p, key)).collect();
            let mut mixed = Vec::new();
            for (head, query) in queries[p].iter().enumerate() {
                let kv = head / (HEADS / KV_HEADS);
                let score = |&key: &usize| dot(query, &keys[key][kv]) / (HEAD_DIM as f64).sqrt();
                let scores: Vec<f64> = seen.iter().map(score).collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
                let sum: f64 = weights.iter().sum();
                mixed.extend((0..HEAD_DIM).map(|d| {
                    let of = seen.iter().zip(&weights).map(|(&key, w)| w * values[key][kv * HEAD_DIM + d]);
                    of.sum::<f64>() / sum
                }));
            }
            h.iter_mut().zip(times(&wo, &mixed)).for_each(|(h, y)| *h += y);
        }
    }

    fn feed_forward(&self, l: usize, h: &mut [Vec<f64>]) {
        let weight = |name: &str| self.layer(l, &format!("feed_forward.{name}"));
        let router = weight("router.weight");
        let shared = ["gate", "up", "down"].map(|name| weight(&format!("shared_expert.{name}_proj.weight")));
        let (gate_up, down) = (weight("experts.gate_up_proj"), weight("experts.down_proj"));
        let norm = self.layer(l, "post_attention_layernorm.weight").remove(0);
        let (dim, hidden) = (h[0].len(), shared[0].len());
        for h in h.iter_mut() {
            let x = normed(h, &norm);
            let logits = times(&router, &x);
            let best = (1..logits.len()).fold(0, |best, e| if logits[e] > logits[best] { e } else { best });
            let score = match self.mistake {
                M::SoftmaxRouter => logits[best].exp() / logits.iter().map(|x| x.exp()).sum::<f64>(),
                _ => 1.0 / (1.0 + (-logits[best]).exp()),
            };
            let on_output = self.mistake == M::ScoreOnOutput;
            let input: Vec<f64> = x.iter().map(|x| if on_output { *x } else { x * score }).collect();
            let z = times_stored_by_input(&gate_up[best * dim..(best + 1) * dim], &input);
            let part = |i: usize| match self.mistake {
                M::UpBeforeGate => (z[hidden + i], z[i]),
                M::InterleavedGateUp => (z[2 * i], z[2 * i + 1]),
                _ => (z[i], z[hidden + i]),
            };
            let activated: Vec<f64> = (0..hidden).map(part).map(|(gate, up)| silu(gate) * up).collect();
            let expert = times_stored_by_input(&down[best * hidden..(best + 1) * hidden], &activated);
            let (gate, up) = (times(&shared[0], &x), times(&shared[1], &x));
            let activated: Vec<f64> = gate.iter().zip(&up).map(|(gate, up)| silu(*gate) * up).collect();
            let of_shared = times(&shared[2], &activated);
            for (at, h) in h.iter_mut().enumerate() {
                *h += of_shared[at] + expert[at] * if on_output { score } else { 1.0 };
            }
        }
    }

    fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let table = matrix(self.model, "model.embed_tokens.weight");
        let mut h: Matrix = ids.iter().map(|&id| table[id as usize].clone()).collect();
        for l in 0..LAYERS {
            self.attention(l, &mut h);
            self.feed_forward(l, &mut h);
        }
        let norm = matrix(self.model, "model.norm.weight").remove(0);
        let head = matrix(self.model, "lm_head.weight");
        h.iter().flat_map(|h| times(&head, &normed(h, &norm))).collect()
    }
}

#[test]
fn golden_logits_catch_every_mistake() {
    let folder = fixture("llama4/tiny_scout");
    let model = Model::open(&folder.join("model.safetensors")).unwrap();
    let golden = expected("llama4/tiny_scout/expected.safetensors");
    let off = |mistake| {
        let logits = Pass { model: &model, mistake }.logits(&golden.input_ids);
        let differences = logits.iter().zip(&golden.logits).map(|(a, b)| (a - f64::from(*b)).abs());
        differences.fold(0.0, f64::max) as f32
    };
    for equivalent in [M::None, M::NormBeforeRotation] {
        let off = off(equivalent);
        assert!(off <= TOLERANCE, "{equivalent:?}: {off:e}");
    }
    for mistake in [
        M::SmallerEps,
        M::NoNorm,
        M::LengthInsteadOfRms,
        M::NormOnNope,
        M::TemperatureOfP,
        M::NoTemperature,
        M::RotateHalf,
        M::NoScaling,
        M::Factor8,
        M::SlidingWindow,
        M::NoChunks,
        M::SoftmaxRouter,
        M::ScoreOnOutput,
        M::UpBeforeGate,
        M::InterleavedGateUp,
    ] {
        let off = off(mistake);
        println!("{mistake:?}: {off:.1e}");
        assert!(off > 1.5 * TOLERANCE, "{mistake:?} would go unnoticed: {off:e}");
    }
}
