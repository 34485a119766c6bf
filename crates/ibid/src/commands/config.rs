//! `ibid config show`: the settings in force and where each comes from.

use crate::{
    data_folder::DataFolder,
    event::Out,
    owner::Exit,
    settings::{Origins, Settings},
};
use anyhow::Result;
use serde_json::json;

pub fn show(data: &DataFolder, (settings, origins): &(Settings, Origins), out: &Out) -> Result<Exit> {
    let values = serde_json::to_value(settings)?;
    out.line(format_args!("data = {:?}", data.path()));
    for (key, value) in values.as_object().into_iter().flatten() {
        out.line(format_args!("{key} = {value}  # {}", origins.get(key).unwrap_or(&"built-in")));
    }
    out.object(json!({ "object": "config", "data": data.path(), "settings": values, "origins": origins }));
    Ok(Exit::Done)
}
