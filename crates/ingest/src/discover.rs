//! First stage: what the user named → files, each with the document path it will have.
//!
//! A document's path is its file's path relative to the folder named, with that folder's own name in front
//! (`reports/2023/q1.pdf`), or the plain file name of a file named by itself; always with `/`.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use ignore::WalkBuilder;

use crate::{Error, Result, Skipped};

/// Files by document path, and what could not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    pub files: BTreeMap<String, PathBuf>,
    pub skipped: Vec<Skipped>,
    /// Document paths the inputs speak for: a folder's name with a slash, or a file's.
    pub scopes: Vec<String>,
}

impl Discovered {
    /// Whether a document that was not found would have been found if its file were still there.
    pub fn covers(&self, document: &str) -> bool {
        let unread = |skipped: &Skipped| document == skipped.path || is_below(document, &skipped.path);
        self.scopes.iter().any(|scope| match scope.strip_suffix('/') {
            Some(folder) => is_below(document, folder),
            None => document == scope,
        }) && !self.skipped.iter().any(unread)
    }
}

fn is_below(document: &str, folder: &str) -> bool {
    document.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Walks the inputs. Hidden and git-ignored files are passed over, links inside a folder are not followed.
///
/// Errors: [`Error::Input`] for an input that does not exist, [`Error::SamePath`].
pub(crate) fn discover(inputs: &[PathBuf]) -> Result<Discovered> {
    let mut found = Discovered::default();
    for input in inputs {
        let failed = |source| Error::Input { path: input.clone(), source };
        let path = input.canonicalize().map_err(failed)?;
        let metadata = path.metadata().map_err(failed)?;
        let name = name_of(input, &path);
        if metadata.is_dir() {
            found.scopes.push(format!("{name}/"));
            walk(&path, &name, &mut found)?;
        } else if metadata.is_file() {
            found.scopes.push(name.clone());
            keep(&mut found, name, path)?;
        } else {
            let kind = std::io::Error::new(std::io::ErrorKind::InvalidInput, "neither a file nor a folder");
            return Err(failed(kind));
        }
    }
    Ok(found)
}

/// The name the user wrote, or that of the folder behind `.` and `..`.
fn name_of(input: &Path, canonical: &Path) -> String {
    let name = match input.components().next_back() {
        Some(Component::Normal(name)) => Some(name),
        _ => canonical.file_name(),
    };
    name.map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn walk(folder: &Path, name: &str, found: &mut Discovered) -> Result<()> {
    // A folder need not be a git repository for its .gitignore to count; the machine's own git settings do not.
    let walk = WalkBuilder::new(folder).require_git(false).git_global(false).follow_links(false).build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error_path(&error).unwrap_or(folder);
                let reason = error.to_string();
                found.skipped.push(Skipped { path: document_path(name, folder, path), reason });
                continue;
            }
        };
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let document = document_path(name, folder, entry.path());
            match found.files.get(&document) {
                // One folder gives a path twice only for names that are not UTF-8; the others need not wait for it.
                Some(first) if first.starts_with(folder) && first.as_path() != entry.path() => {
                    let reason =
                        "its name is not UTF-8 and reads like that of another file; rename it".to_owned();
                    found.skipped.push(Skipped { path: document, reason });
                }
                _ => keep(found, document, entry.into_path())?,
            }
        }
    }
    Ok(())
}

fn keep(found: &mut Discovered, document: String, file: PathBuf) -> Result<()> {
    match found.files.get(&document) {
        Some(first) if *first != file => {
            Err(Error::SamePath { document, first: first.clone(), second: file })
        }
        _ => {
            found.files.insert(document, file);
            Ok(())
        }
    }
}

fn document_path(name: &str, folder: &Path, file: &Path) -> String {
    let mut path = name.to_owned();
    for part in file.strip_prefix(folder).unwrap_or(Path::new("")).components() {
        path.push('/');
        path.push_str(&part.as_os_str().to_string_lossy());
    }
    path
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => error_path(err),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree() -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("reports");
        fs::create_dir_all(root.join("2023/drafts")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for (path, text) in [
            ("b.txt", "b"),
            ("2023/q1.md", "q1"),
            ("2023/drafts/x.md", "x"),
            ("2023/note.tmp", "t"),
            (".hidden", "h"),
            (".git/config", "c"),
            (".gitignore", "drafts/\n*.tmp\n"),
        ] {
            fs::write(root.join(path), text).unwrap();
        }
        std::os::unix::fs::symlink(root.join("b.txt"), root.join("link.txt")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("loop")).unwrap();
        temp
    }

    #[test]
    fn a_folder_gives_its_visible_files_and_no_links() {
        let temp = tree();
        let found = discover(&[temp.path().join("reports")]).unwrap();
        assert_eq!(found.files.keys().collect::<Vec<_>>(), ["reports/2023/q1.md", "reports/b.txt"]);
        assert!(found.skipped.is_empty());
        assert!(
            found.covers("reports/gone.txt") && !found.covers("reports2/b.txt") && !found.covers("b.txt")
        );
    }

    #[test]
    fn the_same_file_twice_is_one_document_and_two_files_of_one_path_are_refused() {
        let temp = tree();
        let file = temp.path().join("reports/b.txt");
        let twice = discover(&[file.clone(), temp.path().join("reports/../reports/b.txt")]).unwrap();
        assert_eq!(twice.files.keys().collect::<Vec<_>>(), ["b.txt"]);
        assert!(twice.covers("b.txt"));

        let other = temp.path().join("b.txt");
        fs::write(&other, "other").unwrap();
        let clash = discover(&[file, other]).unwrap_err();
        assert!(matches!(clash, Error::SamePath { ref document, .. } if document == "b.txt"), "{clash}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_read_alike_do_not_stop_the_others() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let temp = tree();
        let root = temp.path().join("reports");
        for name in [b"caf\xe9.txt", b"caf\xe8.txt"] {
            fs::write(root.join(OsStr::from_bytes(name)), "x").unwrap();
        }
        let found = discover(&[root]).unwrap();
        assert!(
            found.files.contains_key("reports/b.txt") && found.files.contains_key("reports/caf\u{fffd}.txt")
        );
        assert_eq!(found.skipped.len(), 1, "{:?}", found.skipped);
        assert_eq!(found.skipped[0].path, "reports/caf\u{fffd}.txt");
    }

    #[test]
    fn a_missing_input_is_an_error_that_names_it() {
        let error = discover(&[PathBuf::from("/no/such/place")]).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
    }
}
