//! Opening a model: one GGUF file, one safetensors file, or a folder of safetensors with `config.json`.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::map::MappedFile;
use crate::table::{Entry, Place, StoredType, Table};
use crate::{DType, Error, GroupScales, Metadata, Result, Tensor, gguf, safetensors};

/// Most bytes that [`Model::folder_file`] reads (the largest tokenizer files are near 30 MB).
pub const FOLDER_FILE_LIMIT: u64 = 128 << 20;

/// How a model is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    Gguf,
    /// One safetensors file.
    SafetensorsFile,
    /// A folder with `config.json` and one or more safetensors files.
    SafetensorsFolder,
}

/// An open model: its files mapped, its directory read and checked. `Send` and `Sync`; lookups take `&self`.
///
/// Tensors are lent from the memory map. **A process that truncates or overwrites a model file while it is open breaks
/// this one**: reading past the new end raises SIGBUS, which kills the process, and overwritten bytes are read as they
/// then are. Replace a model file by renaming a new one over it; the open model then keeps the old bytes.
#[derive(Debug)]
pub struct Model {
    path: PathBuf,
    container: Container,
    metadata: Metadata,
    table: Table,
    files: Vec<MappedFile>,
}

impl Model {
    /// Maps the files of a model and checks everything but the weights' values.
    pub fn open(path: &Path) -> Result<Self> {
        let info = std::fs::metadata(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            action: "open",
            source,
        })?;
        if info.is_dir() {
            let (files, table) = safetensors::read_folder(path)?;
            return Ok(Self {
                path: path.to_owned(),
                container: Container::SafetensorsFolder,
                metadata: Metadata::new(path),
                table,
                files,
            });
        }
        let file = MappedFile::open(path)?;
        let (container, metadata, table) = if gguf::is_gguf(file.bytes()) {
            let (metadata, table) = gguf::read(&file)?;
            (Container::Gguf, metadata, table)
        } else if safetensors::is_safetensors(file.bytes()) {
            (Container::SafetensorsFile, Metadata::new(path), safetensors::read_file(&file)?)
        } else {
            let reason = "it begins like neither GGUF nor safetensors".to_owned();
            return Err(Error::NotAModel { path: path.to_owned(), reason });
        };
        Ok(Self { path: path.to_owned(), container, metadata, table, files: vec![file] })
    }

    /// The file or folder that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn container(&self) -> Container {
        self.container
    }

    /// GGUF's key/value metadata; empty for safetensors, whose configuration is in `config.json`.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Bytes of a file beside the weights (`config.json`, `tokenizer.json`, …), at most [`FOLDER_FILE_LIMIT`] of them.
    /// `None` where there is no such file, and always for a model that is a single file.
    pub fn folder_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.container {
            Container::SafetensorsFolder => read_folder_file(&self.path, name),
            Container::Gguf | Container::SafetensorsFile => Ok(None),
        }
    }

    /// Names of all tensors, sorted. The parts of a packed int4 weight appear as one tensor, `….weight`.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }

    /// The tensor of this name; its absence is an error.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.try_tensor(name)?
            .ok_or_else(|| Error::MissingTensor { path: self.path.clone(), tensor: name.to_owned() })
    }

    /// The tensor of this name, if the model has it. An error where it has, in a type that is not supported.
    pub fn try_tensor(&self, name: &str) -> Result<Option<Tensor<'_>>> {
        let Some((name, entry)) = self.table.get_key_value(name) else { return Ok(None) };
        let dtype = self.known_type(name, entry)?;
        let lend = |place: &Place| self.bytes(place.file, &place.range);
        let scales = entry.scales.as_ref().map(|scales| GroupScales {
            dtype: scales.dtype,
            bytes: lend(&scales.place),
            groups: scales.groups,
            zero_points: scales.zero_points.as_ref().map(lend),
            g_idx: scales.g_idx.as_ref().map(lend),
        });
        let bytes = self.bytes(entry.file, &entry.range);
        Ok(Some(Tensor { name, dtype, shape: &entry.shape, bytes, scales }))
    }

    fn known_type(&self, tensor: &str, entry: &Entry) -> Result<DType> {
        match entry.dtype {
            StoredType::Known(dtype) => Ok(dtype),
            StoredType::Other { name, .. } => Err(Error::UnsupportedType {
                path: self.files.get(entry.file).map_or(&*self.path, MappedFile::path).to_owned(),
                tensor: tensor.to_owned(),
                dtype: name.to_owned(),
            }),
        }
    }

    fn bytes(&self, file: usize, range: &std::ops::Range<u64>) -> &[u8] {
        self.files.get(file).map(|file| file.slice(range)).unwrap_or_default()
    }

    pub(crate) fn files(&self) -> &[MappedFile] {
        &self.files
    }
}

/// Reads a small file of a model's folder; `None` if it is not there.
pub(crate) fn read_folder_file(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = folder.join(plain_name(folder, name)?);
    let io = |source| Error::Io { path: path.clone(), action: "read", source };
    let file = match std::fs::metadata(&path) {
        Ok(info) if info.is_file() => std::fs::File::open(&path).map_err(io)?,
        Ok(_) => return Err(Error::NotAModel { path, reason: "it is not a regular file".into() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    // One byte past the limit tells a file that is too large, whatever its size was a moment ago.
    file.take(FOLDER_FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FOLDER_FILE_LIMIT {
        let (got, limit) = (bytes.len() as u64, FOLDER_FILE_LIMIT);
        return Err(Error::TooLarge { path, what: "size of the file in bytes", got, limit });
    }
    Ok(Some(bytes))
}

/// The name, if it is one plain component: names come from index files, and must not lead out of the folder.
pub(crate) fn plain_name<'a>(named_in: &Path, name: &'a str) -> Result<&'a str> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(name),
        _ => Err(Error::FileName { path: named_in.to_owned(), name: name.to_owned() }),
    }
}
