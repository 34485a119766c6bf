//! Configuration: built-in values, then `DATA/config.toml`, then `IBID_*`, then flags.

use crate::{cli::Global, data_folder::DataFolder, problem::Failure};
use anyhow::{Context, Result};
use clap::ValueEnum;
use corpus::Limits;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use toml::{Table, Value};

/// Values in force. Every key can stand in `config.toml`, or in the environment as `IBID_` and its name in capitals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Model file, folder, or name of a fetched model; empty: the only one fetched.
    pub model: String,
    /// `fast` or `reference`.
    pub numerics: Numerics,
    /// What new KV is kept in: `auto` (int8, or f32 with reference numerics), `int8`, `bf16` or `k6v4`.
    pub kv_dtype: KvDtype,
    /// Memory for KV pages read from disk, MiB.
    pub kv_cache_mib: u64,
    /// Memory for the routed experts of a model, MiB; those that do not fit are read from its file whenever a token needs
    /// them. 0: as much as they take.
    pub expert_cache_mib: u64,
    /// Run a Llama 4 Scout whose RoPE scaling is not the released one.
    pub allow_wrong_rope: bool,
    /// What one document may cost; a table `[limits]` of `config.toml`.
    pub limits: Limits,
    /// What `ibid serve` allows; a table `[service]` of `config.toml`.
    pub service: Service,
}

/// Bounds of the service. The field names appear in errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// Names beside addresses and `localhost` under which it may be called; any other is refused (DNS rebinding).
    pub host_names: Vec<String>,
    /// Bytes of one request that uploads files.
    pub upload_bytes: u64,
    /// Files of one request that uploads.
    pub upload_files: u64,
    /// Bytes of any other request.
    pub request_bytes: u64,
    /// Documents of a corpus, those still to be read included.
    pub files_per_corpus: u64,
    /// Bytes of KV of all documents of an owner, those still to be read included; checked before prefill.
    pub kv_bytes_per_owner: u64,
    /// Code points of a question.
    pub question_characters: u64,
    /// Questions that are answered at the same time.
    pub concurrent_questions: u64,
    /// Questions that wait for their turn; one more is refused with 429.
    pub queued_questions: u64,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            host_names: Vec::new(),
            upload_bytes: 4 << 30,
            upload_files: 1_000,
            request_bytes: 1 << 20,
            files_per_corpus: 100_000,
            kv_bytes_per_owner: 1 << 40,
            question_characters: 8_000,
            concurrent_questions: 8,
            queued_questions: 64,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    Reference,
    Fast,
}

/// int8 is a quarter of f32 and the default; bf16 is half of f32 and closer to it; k6v4 keeps keys in 6 bits and values
/// in 4, a sixth of f32 and further from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvDtype {
    Auto,
    Int8,
    Bf16,
    K6v4,
}

impl Settings {
    /// What the engine is opened with.
    pub fn arithmetic(&self) -> scout::Arithmetic {
        scout::Arithmetic {
            numerics: match self.numerics {
                Numerics::Reference => scout::Numerics::Reference,
                Numerics::Fast => scout::Numerics::Fast,
            },
            kv_dtype: match self.kv_dtype {
                KvDtype::Auto => None,
                KvDtype::Int8 => Some(kv::Dtype::Int8),
                KvDtype::Bf16 => Some(kv::Dtype::Bf16),
                KvDtype::K6v4 => Some(kv::Dtype::K6V4),
            },
            expert_bytes: match self.expert_cache_mib {
                0 => u64::MAX,
                mib => mib.saturating_mul(1 << 20),
            },
            allow_wrong_rope: self.allow_wrong_rope,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: String::new(),
            numerics: Numerics::Fast,
            kv_dtype: KvDtype::Auto,
            kv_cache_mib: 256,
            expert_cache_mib: 0,
            allow_wrong_rope: false,
            limits: Limits::default(),
            service: Service::default(),
        }
    }
}

/// Where a value comes from.
pub type Origins = BTreeMap<String, &'static str>;

impl Settings {
    pub fn load(data: &DataFolder, flags: &Global) -> Result<(Self, Origins)> {
        let path = data.config();
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        let in_file = |detail: String| bad_config(format!("{}: {detail}", path.display()));
        let file: Table = file.parse().map_err(|e: toml::de::Error| in_file(e.message().to_owned()))?;
        for (key, value) in &file {
            fits(key, value).map_err(|why| in_file(format!("{key} = {value}: {why}")))?;
        }
        let environment = std::env::vars().filter_map(|(name, value)| {
            name.strip_prefix("IBID_").map(|key| (key.to_ascii_lowercase(), value))
        });
        let (mut settings, origins) = merge(file, environment, flags).map_err(bad_config)?;
        // The process that carries a command out may stand in another folder.
        if Path::new(&settings.model).exists()
            && let Ok(path) = std::path::absolute(&settings.model)
        {
            settings.model = path.to_string_lossy().into_owned();
        }
        Ok((settings, origins))
    }
}

fn bad_config(detail: String) -> Failure {
    Failure::new(400, "bad_config", detail)
}

/// Whether there is such a setting and it may have this value; why not, in words.
fn fits(key: &str, value: &Value) -> Result<(), String> {
    let mut values = Table::try_from(Settings::default()).map_err(|e| e.to_string())?;
    values.insert(key.to_owned(), value.clone());
    let settings: Result<Settings, toml::de::Error> = values.try_into();
    settings.map(drop).map_err(|e| e.message().to_owned())
}

fn merge(
    file: Table,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Global,
) -> Result<(Settings, Origins), String> {
    let mut values = Table::try_from(Settings::default()).map_err(|e| e.to_string())?;
    let mut origins: Origins = values.keys().map(|key| (key.clone(), "built-in")).collect();
    let mut put = |key: String, value: Value, origin| {
        origins.insert(key.clone(), origin);
        values.insert(key, value);
    };
    for (key, value) in file {
        put(key, value, "config.toml");
    }
    let known = Table::try_from(Settings::default()).map_err(|e| e.to_string())?;
    for (key, text) in environment {
        match known.get(&key) {
            Some(Value::Integer(_)) => {
                let number = text
                    .parse()
                    .map_err(|_| format!("IBID_{} is {text:?}, not a number", key.to_uppercase()))?;
                put(key, Value::Integer(number), "environment");
            }
            Some(Value::String(_)) => {
                let value = Value::String(text);
                fits(&key, &value).map_err(|why| format!("IBID_{} = {value}: {why}", key.to_uppercase()))?;
                put(key, value, "environment");
            }
            Some(_) => return Err(format!("{key} cannot be set in the environment; set it in config.toml")),
            // Other variables of this prefix (IBID_DATA) are no settings.
            None => {}
        }
    }
    if let Some(model) = &flags.model {
        put("model".into(), Value::String(model.clone()), "flag");
    }
    if let Some(kv_dtype) = flags.kv_dtype {
        put("kv_dtype".into(), Value::try_from(kv_dtype).map_err(|e| e.to_string())?, "flag");
    }
    if flags.allow_wrong_rope {
        put("allow_wrong_rope".into(), Value::Boolean(true), "flag");
    }
    let settings = values.try_into().map_err(|e: toml::de::Error| e.message().to_owned())?;
    Ok((settings, origins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beat_the_environment_which_beats_the_file() {
        let file: Table = "kv_cache_mib = 64\nmodel = 'a'".parse().unwrap();
        let environment = [("model", "b"), ("numerics", "reference"), ("data", "/x")];
        let environment = || environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let (settings, origins) = merge(file.clone(), environment(), &Global::default()).unwrap();
        let expected = Settings {
            model: "b".into(),
            numerics: Numerics::Reference,
            kv_dtype: KvDtype::Auto,
            kv_cache_mib: 64,
            expert_cache_mib: 0,
            allow_wrong_rope: false,
            limits: Limits::default(),
            service: Service::default(),
        };
        assert_eq!(settings, expected);
        assert_eq!((origins["model"], origins["kv_cache_mib"]), ("environment", "config.toml"));

        let flags = Global { model: Some("c".into()), kv_dtype: Some(KvDtype::Bf16), ..Global::default() };
        let (settings, origins) = merge(file, environment(), &flags).unwrap();
        assert_eq!((settings.model.as_str(), origins["model"]), ("c", "flag"));
        assert_eq!((settings.kv_dtype, origins["kv_dtype"]), (KvDtype::Bf16, "flag"));
    }

    #[test]
    fn limits_are_a_table_of_the_file() {
        let none = std::iter::empty;
        let file = "[limits]\npages = 7".parse().unwrap();
        let (settings, _) = merge(file, none(), &Global::default()).unwrap();
        assert_eq!(settings.limits, Limits { pages: 7, ..Limits::default() });
        let unknown = merge("[limits]\npags = 7".parse().unwrap(), none(), &Global::default()).unwrap_err();
        assert!(unknown.contains("pags"), "{unknown}");
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        let none = std::iter::empty;
        let unknown = merge("kv_cach = 1".parse().unwrap(), none(), &Global::default()).unwrap_err();
        assert!(unknown.contains("kv_cach"), "{unknown}");
        let wrong = [("kv_cache_mib".to_owned(), "much".to_owned())].into_iter();
        let wrong = merge(Table::new(), wrong, &Global::default()).unwrap_err();
        assert!(wrong.contains("IBID_KV_CACHE_MIB") && wrong.contains("much"), "{wrong}");
        let kind = [("kv_dtype".to_owned(), "int9".to_owned())].into_iter();
        let kind = merge(Table::new(), kind, &Global::default()).unwrap_err();
        let words = ["IBID_KV_DTYPE", "int9", "`auto`, `int8`, `bf16`, `k6v4`"];
        assert!(words.iter().all(|word| kind.contains(word)), "{kind}");
    }
}
