//! The sample corpus, built into the program: one click from an empty page to the first question.

/// A file by its name in `examples/corpus`.
macro_rules! sample {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../../examples/corpus/", $name)).as_slice())
    };
}

/// Names and bytes, by name.
pub fn sample_files() -> [(&'static str, &'static [u8]); 11] {
    [
        sample!("asme-paper.pdf"),
        sample!("book-design.pdf"),
        sample!("debian-constitution.docx"),
        sample!("elements.txt"),
        sample!("just-manual.md"),
        sample!("puzzles.txt"),
        sample!("sqlite-corruption.html"),
        sample!("sqlite-testing.html"),
        sample!("tex-overview.pdf"),
        sample!("us-states-2009.csv"),
        sample!("vim-tutor-ru.txt"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_file_of_the_sample_corpus_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/corpus");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut there: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.sort();
        let built_in: Vec<&str> = sample_files().iter().map(|(name, _)| *name).collect();
        assert_eq!(built_in, there);
    }
}
