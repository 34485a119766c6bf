//! Files, folders and packed weights, whole and broken.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use crate::testing::{f32_bytes, safetensors, safetensors_with_header};
use crate::{Container, DType, Error, Model};

const CONFIG: &str = "{}";

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn open(bytes: &[u8]) -> crate::Result<Model> {
    Model::open(&folder(&[("m.safetensors", bytes)]).path().join("m.safetensors"))
}

fn header(header: &str, data_len: usize) -> crate::Result<Model> {
    open(&safetensors_with_header(header, &vec![0; data_len]))
}

fn two() -> Vec<u8> {
    let (a, b) = (f32_bytes(&[1.0, 2.0, 3.0, 4.0]), [0x80, 0x3f, 0x00, 0x40]);
    safetensors(&[("a", "F32", &[2, 2], &a), ("b", "BF16", &[2], &b)])
}

#[test]
fn one_file_opens() {
    let model = open(&two()).unwrap();
    assert_eq!(model.container(), Container::SafetensorsFile);
    assert_eq!(model.tensor_names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(model.tensor("a").unwrap().dequantise().unwrap(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(model.tensor("b").unwrap().dequantise().unwrap(), [1.0, 2.0]);
    assert_eq!(model.folder_file("config.json").unwrap(), None);
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let bytes = two();
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len]).is_err(), "cut to {len} of {} bytes", bytes.len());
    }
}

#[test]
fn stray_and_shared_bytes_are_refused() {
    let t = |start, end| json!({"dtype": "F32", "shape": [1], "data_offsets": [start, end]});
    let case = |a, b, len| header(&json!({"a": a, "b": b}).to_string(), len);
    assert!(case(t(0, 4), t(4, 8), 8).is_ok());
    assert!(matches!(case(t(0, 4), t(2, 6), 6), Err(Error::Overlap { .. })));
    assert!(matches!(case(t(0, 4), t(8, 12), 12), Err(Error::Unclaimed { .. })));
    assert!(matches!(case(t(0, 4), t(4, 8), 9), Err(Error::Unclaimed { .. })));
    assert!(matches!(case(t(0, 4), t(4, 8), 7), Err(Error::Extent { .. })));
    assert!(matches!(case(t(4, 0), t(4, 8), 8), Err(Error::Extent { .. })));
    assert!(matches!(case(t(0, 4), t(u64::MAX - 3, u64::MAX), 8), Err(Error::Extent { .. })));
}

#[test]
fn broken_headers_are_refused() {
    let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let twice = header(&format!(r#"{{"a":{tensor},"a":{tensor}}}"#), 4).unwrap_err();
    assert!(twice.to_string().contains("`a` occurs twice"), "{twice}");
    let overflow = r#"{"a":{"dtype":"F32","shape":[9223372036854775808,4],"data_offsets":[0,4]}}"#;
    assert!(matches!(header(overflow, 4), Err(Error::SizeOverflow { .. })));
    let empty = r#"{"a":{"dtype":"F32","shape":[9223372036854775808,0],"data_offsets":[0,0]}}"#;
    assert!(header(empty, 0).unwrap().tensor("a").unwrap().dequantise().unwrap().is_empty());
    let unknown = header(&format!(r#"{{"a":{}}}"#, tensor.replace("F32", "F4")), 4).unwrap_err();
    assert!(unknown.to_string().contains("type F4"), "{unknown}");
    for bad in [r#"{"a":1}"#, r#"{"a":{"x":"y"}}"#, "{", "{}x", r#"{"a":{"dtype":"F32","shape":[-1]}}"#] {
        assert!(header(bad, 0).is_err(), "{bad}");
    }
    assert!(header(&"{\"a\":".repeat(100_000), 0).is_err());
    let huge = [&u64::MAX.to_le_bytes(), b"{}".as_slice()].concat();
    assert!(matches!(open(&huge), Err(Error::TooLarge { .. })));
}

#[test]
fn types_that_are_not_decoded_are_refused_when_asked_for() {
    let model =
        open(&safetensors(&[("f8", "F8_E4M3", &[2], &[0, 0]), ("i", "I32", &[1], &[7, 0, 0, 0])])).unwrap();
    let error = model.tensor("f8").unwrap_err();
    assert!(error.to_string().contains("type F8_E4M3"), "{error}");
    assert_eq!(model.tensor("i").unwrap().bytes, [7, 0, 0, 0]);
    assert!(matches!(model.tensor("i").unwrap().dequantise(), Err(Error::NotWeights { .. })));
}

#[test]
fn shards_follow_their_index() {
    let one = safetensors(&[("a", "F32", &[1], &f32_bytes(&[1.0]))]);
    let two = safetensors(&[("b", "F32", &[1], &f32_bytes(&[2.0]))]);
    let open = |map: serde_json::Value| {
        let index = json!({"metadata": {"total_size": 8}, "weight_map": map}).to_string();
        let dir = folder(&[
            ("config.json", CONFIG.as_bytes()),
            ("1.safetensors", &one),
            ("2.safetensors", &two),
            ("model.safetensors.index.json", index.as_bytes()),
        ]);
        Model::open(dir.path())
    };
    let model = open(json!({"a": "1.safetensors", "b": "2.safetensors"})).unwrap();
    assert_eq!(model.container(), Container::SafetensorsFolder);
    assert_eq!(model.tensor("b").unwrap().dequantise().unwrap(), [2.0]);
    let missing = open(json!({"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}));
    assert!(matches!(missing, Err(Error::MissingTensor { .. })));
    let elsewhere = open(json!({"a": "2.safetensors", "b": "1.safetensors"}));
    assert!(matches!(elsewhere, Err(Error::Invalid { .. })));
    let absent = open(json!({"a": "1.safetensors", "b": "3.safetensors"}));
    assert!(matches!(absent, Err(Error::Io { .. })));
    for name in ["../1.safetensors", "/etc/passwd", "", ".", "x/1.safetensors"] {
        assert!(matches!(open(json!({"a": name})), Err(Error::FileName { .. })), "{name}");
    }
}

#[test]
fn folders_say_what_they_lack() {
    let two = two();
    let error = Model::open(folder(&[("model.safetensors", &two)]).path()).unwrap_err();
    assert!(error.to_string().contains("no config.json"), "{error}");
    let error = Model::open(folder(&[("config.json", b"{}")]).path()).unwrap_err();
    assert!(error.to_string().contains("neither model.safetensors"), "{error}");
    let dir = folder(&[("config.json", b"{\"a\":1}"), ("model.safetensors", &two)]);
    let model = Model::open(dir.path()).unwrap();
    assert_eq!(model.folder_file("config.json").unwrap().unwrap(), b"{\"a\":1}");
    assert_eq!(model.folder_file("tokenizer.json").unwrap(), None);
    assert!(matches!(model.folder_file("../x"), Err(Error::FileName { .. })));
    assert!(matches!(Model::open(Path::new("/no/such/model")), Err(Error::Io { .. })));
}

/// Parts of a `[2, 16]` weight in groups of 8, all codes 9 (weight 1 × scale), with `extra` tensors.
fn packed(shape: [i64; 2], scale_cols: u64, extra: &[(&str, &str, &[u64], &[u8])]) -> Vec<u8> {
    let words = [0x99u8; 16];
    let scales = f32_bytes(&[1.0, 2.0, 3.0, 4.0]);
    let shape: Vec<u8> = shape.iter().flat_map(|n| n.to_le_bytes()).collect();
    let mut parts: Vec<(&str, &str, &[u64], &[u8])> =
        vec![("x.weight_packed", "I32", &[2, 2], &words), ("x.weight_shape", "I64", &[2], &shape)];
    let scale_shape = [2, scale_cols];
    parts.push(("x.weight_scale", "F32", &scale_shape, &scales[..(8 * scale_cols) as usize]));
    parts.extend_from_slice(extra);
    safetensors(&parts)
}

#[test]
fn packed_int4_is_one_tensor() {
    let model = open(&packed([2, 16], 2, &[])).unwrap();
    assert_eq!(model.tensor_names().collect::<Vec<_>>(), ["x.weight"]);
    let weight = model.tensor("x.weight").unwrap();
    assert_eq!((weight.dtype, weight.shape), (DType::PackedInt4 { group_size: 8 }, [2, 16].as_slice()));
    let expected = [[1.0; 8], [2.0; 8], [3.0; 8], [4.0; 8]].concat();
    assert_eq!(weight.dequantise().unwrap(), expected);
    // Thirteen columns: the last word is partly padding.
    let odd = open(&packed([2, 13], 1, &[])).unwrap();
    assert_eq!(odd.tensor("x.weight").unwrap().dequantise().unwrap(), [[1.0; 13], [2.0; 13]].concat());
}

#[test]
fn packed_int4_with_parts_that_do_not_fit_is_refused() {
    for shape in [[2, 17], [3, 16], [-2, 16], [0, 0]] {
        assert!(matches!(open(&packed(shape, 2, &[])), Err(Error::Shape { .. })), "{shape:?}");
    }
    assert!(matches!(open(&packed([2, 13], 2, &[])), Err(Error::Shape { .. })));
    let both = packed([2, 16], 2, &[("x.weight", "F32", &[1], &[0; 4])]);
    assert!(matches!(open(&both), Err(Error::Duplicate { .. })));
    let lone = safetensors(&[("x.weight_packed", "I32", &[1], &[0; 4])]);
    assert!(matches!(open(&lone), Err(Error::MissingTensor { .. })));
}

fn i32_bytes(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|n| n.to_le_bytes()).collect()
}

#[test]
fn packed_int4_is_decoded_as_numpy_does_bit_for_bit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/packed_int4.safetensors");
    let model = Model::open(&path).unwrap();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for (layer, zero_points, order) in
        [("sym", false, false), ("asym", true, false), ("order", false, true), ("both", true, true)]
    {
        let weight = model.tensor(&format!("{layer}.weight")).unwrap();
        assert_eq!((weight.dtype, weight.shape), (DType::PackedInt4 { group_size: 8 }, [11, 40].as_slice()));
        let scales = weight.scales.unwrap();
        assert_eq!((scales.zero_points.is_some(), scales.g_idx.is_some()), (zero_points, order), "{layer}");
        let expected = model.tensor(&format!("{layer}.expected")).unwrap().dequantise().unwrap();
        assert_eq!(bits(weight.dequantise().unwrap()), bits(expected), "{layer}");
    }
}

#[test]
fn zero_points_have_one_shape() {
    let with = |dtype, shape: &[u64], len| {
        open(&packed([2, 16], 2, &[("x.weight_zero_point", dtype, shape, &vec![0x77; len])]))
    };
    let weight = with("I32", &[1, 2], 8).unwrap().tensor("x.weight").unwrap().dequantise().unwrap();
    assert_eq!(weight[..9], [[2.0; 8].as_slice(), &[4.0]].concat());
    for (dtype, shape, len) in
        [("I32", [2, 1], 8), ("I32", [1, 1], 4), ("I64", [1, 2], 16), ("I8", [2, 2], 4)]
    {
        let error = with(dtype, &shape, len).unwrap_err();
        assert!(matches!(&error, Error::Shape { tensor, .. } if tensor == "x.weight_zero_point"), "{error}");
    }
}

#[test]
fn every_group_has_its_number_of_columns() {
    let with = |groups: &[i32]| {
        let bytes = i32_bytes(groups);
        let shape = [groups.len() as u64];
        open(&packed([2, 16], 2, &[("x.weight_g_idx", "I32", &shape, &bytes)]))
    };
    let alternating: Vec<i32> = (0..16).map(|col| col % 2).collect();
    let model = with(&alternating).unwrap();
    let weight = model.tensor("x.weight").unwrap();
    assert_eq!(weight.dequantise().unwrap(), [[1.0, 2.0].repeat(8), [3.0, 4.0].repeat(8)].concat());
    // Neither an order that was never set nor that of the columns is an order.
    for same in [[-1; 16], std::array::from_fn(|col| col as i32 / 8)] {
        assert!(with(&same).unwrap().tensor("x.weight").unwrap().scales.unwrap().g_idx.is_none());
    }
    let edited = |col: usize, group: i32| {
        let mut groups = alternating.clone();
        groups[col] = group;
        groups
    };
    for bad in
        [edited(3, 2), edited(0, -1), edited(15, i32::MAX), edited(15, i32::MIN), edited(0, 1), vec![0; 16]]
    {
        let error = with(&bad).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{bad:?}: {error}");
    }
    for bad in [vec![0; 15], vec![0; 17], vec![]] {
        assert!(matches!(with(&bad), Err(Error::Shape { .. })), "{bad:?}");
    }
    let wide = packed([2, 16], 2, &[("x.weight_g_idx", "I64", &[16], &[0; 128])]);
    assert!(matches!(open(&wide), Err(Error::Shape { .. })));
}

#[test]
fn zero_points_follow_the_config() {
    let open = |symmetric: serde_json::Value, parts: &[(&str, &str, &[u64], &[u8])]| {
        let groups = json!({"group_0": {"weights": {"num_bits": 4, "type": "int", "symmetric": symmetric}}});
        let config = json!({"quantization_config": {
            "quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": groups,
        }});
        let dir = folder(&[
            ("config.json", config.to_string().as_bytes()),
            ("model.safetensors", &packed([2, 16], 2, parts)),
        ]);
        Model::open(dir.path())
    };
    let zeros: &[(&str, &str, &[u64], &[u8])] = &[("x.weight_zero_point", "I32", &[1, 2], &[0; 8])];
    assert!(open(json!(false), zeros).is_ok());
    assert!(matches!(open(json!(false), &[]), Err(Error::MissingTensor { .. })));
    let error = open(json!(true), zeros).unwrap_err();
    assert!(error.to_string().contains("x.weight_zero_point"), "{error}");
    assert!(matches!(open(json!("no"), &[]), Err(Error::Unsupported { .. })));
}

#[test]
fn quantisation_configs_are_checked() {
    let bytes = packed([2, 16], 2, &[]);
    let open = |edit: fn(&mut serde_json::Value)| {
        let mut scheme = json!({
            "quant_method": "compressed-tensors", "format": "pack-quantized", "kv_cache_scheme": null,
            "config_groups": {"group_0": {
                "weights": {"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group"},
                "input_activations": null,
            }},
        });
        edit(&mut scheme);
        let config = json!({"quantization_config": scheme}).to_string();
        let dir = folder(&[("config.json", config.as_bytes()), ("model.safetensors", &bytes)]);
        Model::open(dir.path())
    };
    assert!(open(|_| {}).is_ok());
    type Edit = fn(&mut serde_json::Value);
    let refused: [(Edit, &str); 5] = [
        (|s| s["quant_method"] = json!("gptq"), "gptq"),
        (|s| s["format"] = json!("float-quantized"), "float-quantized"),
        (|s| s["config_groups"]["group_0"]["weights"]["num_bits"] = json!(8), "num_bits `8`"),
        (|s| s["config_groups"]["group_0"]["weights"]["symmetric"] = json!(false), "x.weight_zero_point"),
        (
            |s| s["config_groups"]["group_0"]["input_activations"] = json!({"num_bits": 8}),
            "input_activations",
        ),
    ];
    for (edit, word) in refused {
        let error = open(edit).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever bytes change, opening ends in a model whose tensors can be read or in an error, never in a panic.
    #[test]
    fn damaged_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let g_idx = i32_bytes(&[0, 1].repeat(8));
        let parts: [(&str, &str, &[u64], &[u8]); 3] = [
            ("n", "BF16", &[2], &[0; 4]),
            ("x.weight_zero_point", "I32", &[1, 2], &[0x77; 8]),
            ("x.weight_g_idx", "I32", &[16], &g_idx),
        ];
        let mut bytes = packed([2, 16], 2, &parts);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(model) = open(&bytes) {
            for name in model.tensor_names() {
                if let Ok(tensor) = model.tensor(name) {
                    let _decoded_or_refused = tensor.dequantise();
                }
            }
        }
    }
}
