//! `config.json` of the result: that of the source with a `quantization_config` in compressed-tensors form.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::names::Kind;

/// What readers that go by modules rather than by targets leave alone.
const IGNORE: [&str; 6] = [
    "re:.*lm_head$",
    r"re:.*self_attn\..*",
    r"re:.*\.router$",
    r"re:.*\.feed_forward\.(gate_proj|up_proj|down_proj)$",
    "re:.*vision_model.*",
    "re:.*multi_modal_projector.*",
];

/// Width of the text model.
pub(super) fn hidden_size(config: &Value) -> Option<u64> {
    config.get("text_config").unwrap_or(config).get("hidden_size")?.as_u64()
}

/// Adds the scheme: one group per size of a group of columns, the largest first.
pub(super) fn with_scheme(
    mut config: Value,
    group_sizes: &BTreeMap<Kind, u64>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut targets = BTreeMap::<u64, Vec<String>>::new();
    for (kind, size) in group_sizes {
        targets.entry(*size).or_default().push(kind.target());
    }
    let groups: serde_json::Map<String, Value> = (0..)
        .zip(targets.iter().rev())
        .map(|(at, (size, targets))| (format!("group_{at}"), group(*size, targets)))
        .collect();
    if let Some(config) = config.as_object_mut() {
        let scheme = json!({
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "quantization_status": "compressed",
            "config_groups": groups,
            "ignore": IGNORE,
            "kv_cache_scheme": null,
        });
        config.insert("quantization_config".into(), scheme);
    }
    serde_json::to_vec_pretty(&config)
}

fn group(size: u64, targets: &[String]) -> Value {
    json!({
        "targets": targets,
        "weights": {
            "num_bits": 4,
            "type": "int",
            "symmetric": true,
            "strategy": "group",
            "group_size": size,
            "dynamic": false,
        },
        "input_activations": null,
        "output_activations": null,
    })
}
