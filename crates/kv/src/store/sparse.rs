//! A segment of more than 4 GiB, on a file system that keeps holes for zeros: offsets past 32 bits lead where they should.

use super::*;
use crate::{
    Context, Dtype, PageBuf, PageOrder, PageShape, RowKind, SegmentSpec, StoredFile, StoredLayer,
    testing::{Access, OverDisk},
};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
};

/// A file in which zeros are not written.
struct SparseFile(File);

fn sparse(access: Access, path: &Path) -> io::Result<Box<dyn StoredFile>> {
    let file = match access {
        Access::Open => File::open(path)?,
        Access::Create => OpenOptions::new().read(true).write(true).create_new(true).open(path)?,
    };
    Ok(Box::new(SparseFile(file)))
}

impl StoredFile for SparseFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.0.read_at(&mut buf[filled..], offset + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        if self.0.metadata()?.len() < end {
            self.0.set_len(end)?;
        }
        match bytes.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => self.0.write_all_at(bytes, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[test]
fn pages_beyond_four_gibibytes_are_read_where_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Arc::new(OverDisk(sparse)), folder.path(), 0).unwrap();
    // Pages of 16 MiB: 300 of them are 4.7 GiB.
    let shape = PageShape { n_kv_heads: 128, head_dim: 256 };
    let n_pages = 300u64;
    let context =
        Context { weights: [0; 32], tokenizer: [0; 32], header: "", document_header: "", numerics: "test" };
    let spec = SegmentSpec {
        context: context.id(),
        row_kind: RowKind::Isolated,
        dtype: Dtype::F32,
        order: PageOrder::LayerMajor,
        layers: vec![StoredLayer { layer: 0, shape, first_page: 0 }],
        tokens: vec![7; (n_pages * 64) as usize],
    };
    let zeros = PageBuf::new(shape, Dtype::F32);
    let marked = |page: u64| {
        let mut marked = PageBuf::new(shape, Dtype::F32);
        let row = vec![page as f32; 128 * 256];
        marked.write_row(page as usize % 64, &row, &row).unwrap();
        marked
    };
    let is_marked = |page: u64| [0, 254, 255, 256, 257, n_pages - 1].contains(&page);
    let mut writer = store.create(spec).unwrap();
    for page in 0..n_pages {
        match is_marked(page) {
            true => writer.push_page(0, page, &marked(page)).unwrap(),
            false => writer.push_page(0, page, &zeros).unwrap(),
        }
    }
    let id = writer.finish().unwrap();
    let segment = store.open_segment(&id).unwrap().unwrap();
    assert!(segment.file_bytes() > 4 << 30, "{} bytes", segment.file_bytes());
    for page in (0..n_pages).filter(|page| is_marked(*page)) {
        assert!(segment.page(0, page).unwrap().as_bytes() == marked(page).as_bytes(), "page {page}");
    }
    assert!(segment.page(0, n_pages - 2).unwrap().as_bytes() == zeros.as_bytes());
}
