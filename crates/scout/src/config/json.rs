//! The config of a safetensors folder, from its `config.json`.

use super::llama4::{self, Experts, Llama4, Temperature};
use super::{MAX_LAYERS, ModelConfig, RopeScaling, SUPPORTED, bad_field, clamped, model_name};
use crate::{Error, Result};
use serde_json::Value;
use weights::Model;

pub(super) fn read(model: &Model, bytes: &[u8]) -> Result<ModelConfig> {
    let name = model_name(model);
    let outer: Value =
        serde_json::from_slice(bytes).map_err(|source| Error::ConfigJson { model: name.clone(), source })?;
    let unsupported =
        |what: String| Error::Unsupported { model: model_name(model), what, supported: SUPPORTED };
    // A multimodal checkpoint keeps its language model's config inside.
    let json = outer.get("text_config").filter(|config| config.is_object()).unwrap_or(&outer);
    let family = match json.get("model_type").or_else(|| outer.get("model_type")).and_then(Value::as_str) {
        Some(family @ ("llama" | "llama4" | "llama4_text")) => family,
        other => return Err(unsupported(format!("model_type {}", other.unwrap_or("(absent)")))),
    };
    let is_llama4 = family != "llama";
    refuse_unsupported(&name, json, &unsupported)?;
    let size = |key: &str| whole(&name, json, key);
    let need = |key: &str| {
        size(key)?.ok_or_else(|| Error::MissingField { model: name.clone(), field: key.to_owned() })
    };
    let (dim, n_heads, n_layers) =
        (need("hidden_size")?, need("num_attention_heads")?, need("num_hidden_layers")?);
    let rope = rope_object(json);
    let rope_theta = match (number(&name, json, "rope_theta")?, rope) {
        (Some(theta), _) => Some(theta),
        (None, Some(rope)) => number(&name, rope, "rope_theta")?,
        (None, None) => None,
    };
    let (default_theta, default_eps) = if is_llama4 { (500_000.0, 1e-5) } else { (10_000.0, 1e-6) };
    let tied = json.get("tie_word_embeddings").or_else(|| outer.get("tie_word_embeddings"));
    let hidden_key = if is_llama4 { "intermediate_size_mlp" } else { "intermediate_size" };
    Ok(ModelConfig {
        n_layers,
        dim,
        hidden_dim: match size(hidden_key)? {
            Some(hidden) => hidden,
            None => need("intermediate_size")?,
        },
        n_heads,
        n_kv_heads: size("num_key_value_heads")?.unwrap_or(n_heads),
        head_dim: size("head_dim")?.unwrap_or(dim.checked_div(n_heads).unwrap_or(0)),
        vocab: need("vocab_size")?,
        window: need("max_position_embeddings")? as u64,
        rms_eps: number(&name, json, "rms_norm_eps")?.unwrap_or(default_eps) as f32,
        rope_theta: rope_theta.unwrap_or(default_theta),
        rope_scaling: scaling(model, rope)?,
        interleaved_pairs: is_llama4,
        tied_embeddings: tied.and_then(Value::as_bool).unwrap_or(false),
        llama4: match is_llama4 {
            true => Some(read_llama4(&name, json, n_layers.min(MAX_LAYERS))?),
            false => None,
        },
        name,
    })
}

fn refuse_unsupported(name: &str, json: &Value, unsupported: &dyn Fn(String) -> Error) -> Result<()> {
    for flag in ["attention_bias", "mlp_bias"] {
        if json.get(flag).and_then(Value::as_bool) == Some(true) {
            return Err(unsupported(flag.to_owned()));
        }
    }
    match json.get("hidden_act").and_then(Value::as_str) {
        None | Some("silu") => {}
        Some(other) => return Err(unsupported(format!("hidden_act {other}"))),
    }
    for object in [Some(json), rope_object(json)].into_iter().flatten() {
        if let Some(factor) = number(name, object, "partial_rotary_factor")?.filter(|factor| *factor != 1.0) {
            return Err(unsupported(format!("partial_rotary_factor {factor}")));
        }
    }
    Ok(())
}

/// Absent fields have the defaults of `Llama4TextConfig`. `no_rope_layers` holds 1 for layers that rotate, whatever its
/// name says, and an empty list means the interval; `attn_temperature_tuning` is a bool, in old files a number.
fn read_llama4(name: &str, json: &Value, n_layers: usize) -> Result<Llama4> {
    let rope = match flags(name, json, "no_rope_layers")?.filter(|layers| !layers.is_empty()) {
        Some(layers) => layers,
        None => {
            let interval = whole(name, json, "no_rope_layer_interval")?;
            llama4::rope_by_interval(n_layers, interval.unwrap_or(llama4::NO_ROPE_INTERVAL))
        }
    };
    let chunk = match json.get("attention_chunk_size") {
        None => Some(llama4::CHUNK),
        Some(_) => whole(name, json, "attention_chunk_size")?.map(|chunk| chunk as u64),
    };
    let tuned = match json.get("attn_temperature_tuning") {
        None | Some(Value::Null) => true,
        Some(value) => flag(name, "attn_temperature_tuning", value)?,
    };
    let temperature = Temperature {
        floor_scale: number(name, json, "floor_scale")?.unwrap_or(llama4::FLOOR_SCALE),
        attn_scale: number(name, json, "attn_scale")?.unwrap_or(llama4::ATTN_SCALE),
    };
    let need = |key: &str| {
        whole(name, json, key)?
            .ok_or_else(|| Error::MissingField { model: name.to_owned(), field: key.to_owned() })
    };
    Ok(Llama4 {
        chunk,
        chunked: layer_types(name, json)?.unwrap_or_else(|| rope.clone()),
        rope,
        qk_norm: match json.get("use_qk_norm") {
            None | Some(Value::Null) => true,
            Some(value) => flag(name, "use_qk_norm", value)?,
        },
        temperature: tuned.then_some(temperature),
        experts: Experts {
            n_experts: need("num_local_experts")?,
            active: whole(name, json, "num_experts_per_tok")?.unwrap_or(1),
            hidden_dim: need("intermediate_size")?,
            layers: expert_layers(name, json, n_layers)?,
        },
    })
}

/// Which layers have experts: `moe_layers` where it is given, otherwise every so many.
fn expert_layers(name: &str, json: &Value, n_layers: usize) -> Result<Vec<bool>> {
    let expected = "a list of layer numbers";
    let Some(list) = field(name, json, "moe_layers", expected, Value::as_array)? else {
        let step = whole(name, json, "interleave_moe_layer_step")?.unwrap_or(1);
        return Ok(llama4::experts_by_step(n_layers, step));
    };
    let mut layers = vec![false; n_layers];
    for value in list {
        let layer = value.as_u64().and_then(|l| usize::try_from(l).ok()).and_then(|l| layers.get_mut(l));
        *layer.ok_or_else(|| bad_field(name, "moe_layers", expected, value))? = true;
    }
    Ok(layers)
}

/// Whether each layer is chunked, where the file says so.
fn layer_types(name: &str, json: &Value) -> Result<Option<Vec<bool>>> {
    let Some(types) = field(name, json, "layer_types", "a list", Value::as_array)? else { return Ok(None) };
    let chunked = types.iter().map(|kind| match kind.as_str() {
        Some("chunked_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(bad_field(name, "layer_types", "chunked_attention or full_attention", kind)),
    });
    Ok(Some(chunked.collect::<Result<Vec<_>>>()?).filter(|types| !types.is_empty()))
}

/// A list of bools or numbers, of which any but 0 is true.
fn flags(name: &str, json: &Value, key: &str) -> Result<Option<Vec<bool>>> {
    let Some(list) = field(name, json, key, "a list", Value::as_array)? else { return Ok(None) };
    list.iter().map(|value| flag(name, key, value)).collect::<Result<_>>().map(Some)
}

fn flag(name: &str, key: &str, value: &Value) -> Result<bool> {
    let number = || value.as_u64().map(|number| number != 0);
    value
        .as_bool()
        .or_else(number)
        .ok_or_else(|| bad_field(name, key, "true, false or a whole number", value))
}

/// transformers 4 writes `rope_scaling`, transformers 5 `rope_parameters` (with `rope_theta` inside).
fn rope_object(json: &Value) -> Option<&Value> {
    ["rope_parameters", "rope_scaling"].iter().find_map(|key| json.get(key).filter(|v| v.is_object()))
}

/// A number of a JSON object; `None` where it is absent or null, an error where it is something else.
fn number(model: &str, json: &Value, key: &str) -> Result<Option<f64>> {
    field(model, json, key, "a number", Value::as_f64)
}

/// Likewise a whole number, 0 or more.
fn whole(model: &str, json: &Value, key: &str) -> Result<Option<usize>> {
    Ok(field(model, json, key, "a whole number, 0 or more", Value::as_u64)?.map(clamped))
}

fn field<'a, T>(
    model: &str,
    json: &'a Value,
    key: &str,
    expected: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>> {
    match json.get(key).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| bad_field(model, key, expected, value)),
    }
}

fn scaling(model: &Model, rope: Option<&Value>) -> Result<RopeScaling> {
    let Some(rope) = rope else { return Ok(RopeScaling::None) };
    let kind =
        rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    let name = model_name(model);
    let need = |key: &str| {
        let field = format!("rope scaling {key}");
        let value = number(&name, rope, key)?
            .ok_or_else(|| Error::MissingField { model: name.clone(), field: field.clone() })?;
        if value > 0.0 { Ok(value) } else { Err(bad_field(&name, &field, "a number above 0", value)) }
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: need("factor")?,
            low_freq_factor: need("low_freq_factor")?,
            high_freq_factor: need("high_freq_factor")?,
            original_max_pos: need("original_max_position_embeddings")?,
        }),
        other => Err(Error::Unsupported {
            model: model_name(model),
            what: format!("rope scaling {other}"),
            supported: SUPPORTED,
        }),
    }
}
