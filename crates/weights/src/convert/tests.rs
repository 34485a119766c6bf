//! Small random checkpoints, converted and read back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::testing::safetensors;

const HIDDEN: u64 = 64;
const WIDTH: u64 = 256;
const EXPERTS: u64 = 2;

/// Files beside the weights that belong to a converted model.
const NEEDED: [(&str, &str); 5] = [
    ("generation_config.json", "{}"),
    ("chat_template.jinja", "{{ messages }}"),
    ("tokenizer_config.json", "{}"),
    ("LICENSE.txt", "terms"),
    ("USE_POLICY.md", "more terms"),
];
const NOT_NEEDED: [(&str, &str); 5] = [
    ("README.md", "how the source was made"),
    ("train.py", "print()"),
    ("license_check.py", "print()"),
    ("pytorch_model.bin", "other weights"),
    (".gitattributes", "*"),
];

struct Stored {
    dtype: &'static str,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

/// Tensors by name, values uniform in ±0.1.
#[derive(Default)]
struct Checkpoint {
    state: u64,
    tensors: BTreeMap<String, Stored>,
}

impl Checkpoint {
    fn add(&mut self, name: &str, dtype: &'static str, shape: &[u64]) {
        let mut bytes = Vec::new();
        for _ in 0..shape.iter().product::<u64>() {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = ((self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 0.1;
            match dtype {
                "F32" => bytes.extend(value.to_le_bytes()),
                "F16" => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
                _ => bytes.extend(half::bf16::from_f32(value).to_le_bytes()),
            }
        }
        self.tensors.insert(name.to_owned(), Stored { dtype, shape: shape.to_vec(), bytes });
    }

    fn add_linear(&mut self, module: &str, dtype: &'static str) {
        for (projection, shape) in
            [("gate_proj", [WIDTH, HIDDEN]), ("up_proj", [WIDTH, HIDDEN]), ("down_proj", [HIDDEN, WIDTH])]
        {
            self.add(&format!("{module}.{projection}.weight"), dtype, &shape);
        }
    }

    /// Layer 0 has fused experts, layer 1 one matrix per expert.
    fn llama4() -> Self {
        let mut made = Self { state: 3, tensors: BTreeMap::new() };
        made.add("language_model.lm_head.weight", "BF16", &[96, HIDDEN]);
        made.add("language_model.model.norm.weight", "F32", &[HIDDEN]);
        for layer in 0..2 {
            let layer = format!("language_model.model.layers.{layer}");
            made.add(&format!("{layer}.self_attn.q_proj.weight"), "F16", &[HIDDEN, HIDDEN]);
            made.add(&format!("{layer}.feed_forward.router.weight"), "BF16", &[EXPERTS, HIDDEN]);
            made.add_linear(&format!("{layer}.feed_forward.shared_expert"), "BF16");
        }
        let experts = "language_model.model.layers.0.feed_forward.experts";
        made.add(&format!("{experts}.gate_up_proj"), "BF16", &[EXPERTS, HIDDEN, 2 * WIDTH]);
        made.add(&format!("{experts}.down_proj"), "F16", &[EXPERTS, WIDTH, HIDDEN]);
        for expert in 0..EXPERTS {
            made.add_linear(&format!("language_model.model.layers.1.feed_forward.experts.{expert}"), "F32");
        }
        made
    }

    /// As a folder of two files with an index.
    fn save(&self, folder: &Path) {
        let mut weight_map = BTreeMap::new();
        for (at, file) in ["a.safetensors", "b.safetensors"].into_iter().enumerate() {
            let of_file = self.tensors.iter().enumerate().filter(|(number, _)| number % 2 == at);
            let mut parts = Vec::new();
            for (_, (name, stored)) in of_file {
                parts.push((name.as_str(), stored.dtype, stored.shape.as_slice(), stored.bytes.as_slice()));
                weight_map.insert(name.clone(), file);
            }
            std::fs::write(folder.join(file), safetensors(&parts)).unwrap();
        }
        let index = json!({"metadata": {}, "weight_map": weight_map}).to_string();
        std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
        let config = json!({"model_type": "llama4", "text_config": {"hidden_size": HIDDEN}}).to_string();
        std::fs::write(folder.join("config.json"), config).unwrap();
        std::fs::write(folder.join("tokenizer.json"), "{\"tokens\": 1}").unwrap();
        std::fs::write(folder.join("tokenizer.model"), [0, 255, 7]).unwrap();
        for (name, text) in NEEDED.into_iter().chain(NOT_NEEDED) {
            std::fs::write(folder.join(name), text).unwrap();
        }
        std::fs::create_dir(folder.join("original")).unwrap();
        std::fs::create_dir(folder.join("NOTICE")).unwrap();
    }
}

fn saved(checkpoint: &Checkpoint) -> (tempfile::TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    checkpoint.save(dir.path());
    let model = Model::open(dir.path()).unwrap();
    (dir, model)
}

fn go_on(_: crate::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// `[out, in]` values of one expert's projection, taken from the source one by one.
fn source_matrix(model: &Model, module: &str) -> Vec<f32> {
    if let Some(tensor) = model.try_tensor(&format!("{module}.weight")).unwrap() {
        return tensor.dequantise().unwrap();
    }
    let (rest, projection) = module.rsplit_once('.').unwrap();
    let (experts, expert) = rest.rsplit_once('.').unwrap();
    let expert: u64 = expert.parse().unwrap();
    let (fused, n_in, n_out, first) = match projection {
        "gate_proj" => ("gate_up_proj", HIDDEN, WIDTH, 0),
        "up_proj" => ("gate_up_proj", HIDDEN, WIDTH, WIDTH),
        _ => ("down_proj", WIDTH, HIDDEN, 0),
    };
    let tensor = model.tensor(&format!("{experts}.{fused}")).unwrap();
    let (all, cols) = (tensor.dequantise().unwrap(), tensor.cols());
    let at = |o: u64, i: u64| all[((expert * n_in + i) * cols + first + o) as usize];
    (0..n_out).flat_map(|o| (0..n_in).map(move |i| (o, i))).map(|(o, i)| at(o, i)).collect()
}

#[test]
fn experts_become_int4_within_half_a_step_and_the_rest_stays() {
    let checkpoint = Checkpoint::llama4();
    let (_source, model) = saved(&checkpoint);
    let target = tempfile::tempdir().unwrap();
    let conversion = Conversion::plan(&model).unwrap();
    assert_eq!(conversion.n_matrices(), 2 * 3 * (1 + EXPERTS));
    let mut reports = Vec::new();
    let report = |progress: crate::Progress| {
        reports.push(progress.bytes_done);
        assert_eq!(progress.bytes_total, conversion.bytes_read());
        ControlFlow::Continue(())
    };
    conversion.write(target.path(), report).unwrap();
    assert!(reports.is_sorted() && reports.last() == Some(&conversion.bytes_read()));

    let result = Model::open(target.path()).unwrap();
    let (mut n_packed, mut n_copied) = (0, 0);
    for name in result.tensor_names() {
        let tensor = result.tensor(name).unwrap();
        let DType::PackedInt4 { group_size } = tensor.dtype else {
            let stored = &checkpoint.tensors[name];
            assert_eq!((tensor.dtype.name(), tensor.shape), (stored.dtype, &stored.shape[..]), "{name}");
            assert_eq!(tensor.bytes, stored.bytes, "{name}");
            n_copied += 1;
            continue;
        };
        let module = name.strip_suffix(".weight").unwrap();
        let is_down = module.ends_with("down_proj");
        assert_eq!(group_size, if is_down { 128 } else { 64 }, "{name}");
        assert_eq!(tensor.shape, if is_down { [HIDDEN, WIDTH] } else { [WIDTH, HIDDEN] }, "{name}");
        let (source, scales) = (source_matrix(&model, module), tensor.scales.unwrap());
        for (at, (w, decoded)) in source.iter().zip(tensor.dequantise().unwrap()).enumerate() {
            let (row, col) = (at as u64 / tensor.cols(), at as u64 % tensor.cols());
            let step = scales.get(row, col / group_size).abs();
            assert!((w - decoded).abs() <= 0.50001 * step, "{name} [{row}, {col}]: {decoded} for {w}");
        }
        n_packed += 1;
    }
    assert_eq!((n_packed, n_copied), (conversion.n_matrices(), 6));
}

#[test]
fn the_folder_is_complete_and_says_how_it_was_made() {
    let (_source, model) = saved(&Checkpoint::llama4());
    let target = tempfile::tempdir().unwrap();
    let stale = target.path().join("model-00007-of-00007.safetensors");
    std::fs::write(&stale, "stale").unwrap();
    std::fs::write(target.path().join("notes"), "mine").unwrap();
    // Files of 10 kB: about two matrices each.
    let conversion = plan::plan(&model, 10_000).unwrap();
    conversion.write(target.path(), go_on).unwrap();
    let read = |name: &str| std::fs::read(target.path().join(name)).unwrap();
    assert!(!stale.exists());
    assert_eq!((read("notes"), read("tokenizer.model")), (b"mine".to_vec(), vec![0, 255, 7]));
    assert_eq!(read("tokenizer.json"), b"{\"tokens\": 1}");
    for (name, text) in NEEDED {
        assert_eq!(read(name), text.as_bytes(), "{name}");
    }
    for name in NOT_NEEDED.map(|(name, _)| name).into_iter().chain(["original", "NOTICE"]) {
        assert!(!target.path().join(name).exists(), "{name}");
    }

    let index: Value = serde_json::from_slice(&read("model.safetensors.index.json")).unwrap();
    assert_eq!(index["metadata"]["total_size"], conversion.bytes_written());
    let n_shards = conversion.shards.len();
    assert!(n_shards > 5, "{n_shards}");
    let last = shard_name(n_shards - 1, n_shards);
    assert!(index["weight_map"].as_object().unwrap().values().any(|file| *file == last));

    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    assert_eq!(config["text_config"]["hidden_size"], HIDDEN);
    let groups = &config["quantization_config"]["config_groups"];
    for (group, size, projections) in
        [("group_0", 128, vec!["down_proj"]), ("group_1", 64, vec!["gate_proj", "up_proj"])]
    {
        assert_eq!(groups[group]["weights"]["group_size"], size);
        let expected = [r"experts\.[0-9]+", "shared_expert"].into_iter().flat_map(|expert| {
            projections.iter().map(move |projection| format!(r"re:.*\.feed_forward\.{expert}\.{projection}$"))
        });
        assert_eq!(groups[group]["targets"], json!(expected.collect::<Vec<_>>()));
    }

    let again = tempfile::tempdir().unwrap();
    plan::plan(&model, 10_000).unwrap().write(again.path(), go_on).unwrap();
    for name in index["weight_map"].as_object().unwrap().values().filter_map(Value::as_str) {
        assert_eq!(read(name), std::fs::read(again.path().join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_stopped_conversion_is_no_model() {
    let (source, model) = saved(&Checkpoint::llama4());
    let target = tempfile::tempdir().unwrap();
    let conversion = plan::plan(&model, 10_000).unwrap();
    conversion.write(target.path(), go_on).unwrap();
    let mut left = 5;
    let stop = |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(conversion.write(target.path(), stop), Err(Error::Interrupted)));
    assert!(Model::open(target.path()).unwrap_err().to_string().contains("no config.json"));
    let temporary = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().ends_with(".tmp")
    };
    assert!(!std::fs::read_dir(target.path()).unwrap().any(temporary));

    assert!(matches!(conversion.write(source.path(), go_on), Err(Error::SameFolder { .. })));
    assert!(Model::open(source.path()).is_ok());
}

#[test]
fn what_cannot_be_converted_is_refused_by_name() {
    let refused = |edit: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = Checkpoint::llama4();
        let dir = tempfile::tempdir().unwrap();
        edit(&mut checkpoint);
        checkpoint.save(dir.path());
        let model = Model::open(dir.path()).unwrap();
        let target = tempfile::tempdir().unwrap();
        Conversion::plan(&model).and_then(|plan| plan.write(target.path(), go_on)).unwrap_err()
    };
    let fused = "language_model.model.layers.0.feed_forward.experts";
    let router = refused(&|c| c.tensors.retain(|name, _| !name.contains("expert")));
    assert!(matches!(router, Error::NothingToQuantise { .. }), "{router}");
    let twice = refused(&|c| c.add_linear(&format!("{fused}.1"), "BF16"));
    assert!(matches!(&twice, Error::Duplicate { name, .. } if name.contains("experts.1.")), "{twice}");
    for shape in [
        vec![2, 48, 512],
        vec![2, 128, 512],
        vec![2, 64, 511],
        vec![128, 512],
        vec![0, 64, 512],
        vec![9, 64, 0],
    ] {
        let error = refused(&|c| c.add(&format!("{fused}.gate_up_proj"), "BF16", &shape));
        assert!(matches!(error, Error::Shape { .. }), "{shape:?}: {error}");
    }
    let groups = refused(&|c| {
        c.add("language_model.model.layers.1.feed_forward.shared_expert.down_proj.weight", "F32", &[64, 96]);
    });
    assert!(groups.to_string().contains("groups of 128"), "{groups}");
    let infinite = refused(&|c| {
        let bytes = &mut c.tensors.get_mut(&format!("{fused}.down_proj")).unwrap().bytes;
        bytes[..2].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
    });
    assert!(matches!(&infinite, Error::NotFinite { tensor, row: 0 } if tensor.ends_with("0.down_proj")));
    let (_source, model) = saved(&Checkpoint::llama4());
    let target = tempfile::tempdir().unwrap();
    Conversion::plan(&model).unwrap().write(target.path(), go_on).unwrap();
    let converted = Model::open(target.path()).unwrap();
    let error = Conversion::plan(&converted).unwrap_err();
    assert!(error.to_string().contains("quantisation `compressed-tensors`"), "{error}");
}
