//! `ibid model logits`: runs given tokens through a model and writes what comes out, for comparison with others.

use crate::{
    cli::{Logits, Numerics},
    data_folder::DataFolder,
    event::Out,
    owner::Exit,
    problem::Failure,
    settings::Settings,
};
use anyhow::{Context, Result};
use serde_json::json;
use std::io::Write;

/// Most bytes of a token file: a million ids take less.
const TOKENS_LIMIT: u64 = 16 << 20;

pub fn run(data: &DataFolder, settings: &Settings, args: &Logits, out: &Out) -> Result<Exit> {
    let path = super::resolve(data, settings)?;
    let cannot_read = || format!("cannot read {}", args.tokens.display());
    if std::fs::metadata(&args.tokens).with_context(cannot_read)?.len() > TOKENS_LIMIT {
        let detail = format!("{} is larger than {TOKENS_LIMIT} bytes", args.tokens.display());
        return Err(Failure::new(413, "too_large", detail).into());
    }
    let text = std::fs::read_to_string(&args.tokens).with_context(cannot_read)?;
    let ids: Vec<u32> = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a JSON array of token ids", args.tokens.display()))?;
    let numerics = match args.numerics {
        Numerics::Reference => scout::Numerics::Reference,
        Numerics::Fast => scout::Numerics::Fast,
    };
    let rows = scout::logits_of(&path, numerics, &ids)?;
    write_tensor(&args.output, rows.n_rows(), rows.width(), rows.as_slice())
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    out.line(format_args!("{}: logits f32 [{}, {}]", args.output.display(), rows.n_rows(), rows.width()));
    out.object(json!({ "object": "logits", "path": args.output, "shape": [rows.n_rows(), rows.width()] }));
    Ok(Exit::Done)
}

/// A safetensors file with the one tensor `logits`: header length (u64 LE), JSON header, values (f32 LE).
fn write_tensor(path: &std::path::Path, rows: usize, width: usize, values: &[f32]) -> std::io::Result<()> {
    let bytes = size_of_val(values);
    let mut header =
        json!({ "logits": { "dtype": "F32", "shape": [rows, width], "data_offsets": [0, bytes] } })
            .to_string();
    // The values begin at a multiple of 8, padded with spaces as the format allows.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for value in values {
        file.write_all(&value.to_le_bytes())?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_tensor_is_read_back_by_the_models_own_reader() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("l.safetensors");
        write_tensor(&path, 2, 3, &[1.0, 2.0, 3.0, -4.0, 5.5, 6.0]).unwrap();
        let model = weights::Model::open(&path).unwrap();
        let tensor = model.tensor("logits").unwrap();
        assert_eq!(tensor.shape, [2, 3]);
        let mut row = [0.0; 3];
        tensor.dequantise_row(1, &mut row).unwrap();
        assert_eq!(row, [-4.0, 5.5, 6.0]);
    }
}
