//! First stage: what the user named → files, each with the document path it will have.
//!
//! A document's path is its file's path relative to the folder named, with that folder's own name in front
//! (`reports/2023/q1.pdf`), or the plain file name of a file named by itself; always with `/`. Another name may be given
//! for that of the folder or file.

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
    pub scopes: Vec<Scope>,
}

/// Documents that an input speaks for.
#[derive(Debug)]
pub(crate) struct Scope {
    /// A folder's name with a slash, or a file's.
    pub documents: String,
    /// Where the input lies, links resolved.
    pub place: PathBuf,
}

impl Discovered {
    /// Where on disk the file of a document lies.
    pub fn place(&self, document: &str) -> Option<String> {
        self.files.get(document).map(|file| lossy(file))
    }

    /// Whether a document that was not found would have been found if its file were still there. `place`: where it
    /// was found before; one that came from outside the inputs is none of theirs.
    pub fn covers(&self, document: &str, place: Option<&str>) -> bool {
        let unread = |skipped: &Skipped| document == skipped.path || is_below(document, &skipped.path);
        let speaks = |scope: &Scope| match scope.documents.strip_suffix('/') {
            Some(folder) => is_below(document, folder),
            None => document == scope.documents,
        };
        let holds = |scope: &Scope| place.is_none_or(|at| Path::new(at).starts_with(lossy(&scope.place)));
        self.scopes.iter().any(|scope| speaks(scope) && holds(scope)) && !self.skipped.iter().any(unread)
    }
}

/// A place on disk as the catalog keeps it.
pub(crate) fn lossy(place: &Path) -> String {
    place.to_string_lossy().into_owned()
}

fn is_below(document: &str, folder: &str) -> bool {
    document.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Walks the inputs. Hidden and git-ignored files are passed over, links inside a folder are not followed. `named`: what
/// the one input is called instead of its own name.
///
/// Errors: [`Error::Input`] for an input that does not exist, [`Error::SamePath`], [`Error::StoredName`].
pub(crate) fn discover(inputs: &[PathBuf], named: Option<&str>) -> Result<Discovered> {
    if let Some(name) = named
        && (inputs.len() != 1 || !is_name(name))
    {
        return Err(Error::StoredName { name: name.to_owned() });
    }
    let mut found = Discovered::default();
    for input in inputs {
        let failed = |source| Error::Input { path: input.clone(), source };
        let path = input.canonicalize().map_err(failed)?;
        let metadata = path.metadata().map_err(failed)?;
        let name = named.map_or_else(|| name_of(input, &path), str::to_owned);
        if metadata.is_dir() {
            found.scopes.push(Scope { documents: format!("{name}/"), place: path.clone() });
            walk(&path, &name, &mut found)?;
        } else if metadata.is_file() {
            found.scopes.push(Scope { documents: name.clone(), place: path.clone() });
            keep(&mut found, name, path)?;
        } else {
            let kind = std::io::Error::new(std::io::ErrorKind::InvalidInput, "neither a file nor a folder");
            return Err(failed(kind));
        }
    }
    Ok(found)
}

/// One component of a document path.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty()
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c.is_control())
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
        let root = temp.path().join("reports");
        let found = discover(std::slice::from_ref(&root), None).unwrap();
        assert_eq!(found.files.keys().collect::<Vec<_>>(), ["reports/2023/q1.md", "reports/b.txt"]);
        assert!(found.skipped.is_empty());
        let covers = |document: &str| found.covers(document, None);
        assert!(covers("reports/gone.txt") && !covers("reports2/b.txt") && !covers("b.txt"));
        let gone_from = |place: PathBuf| found.covers("reports/gone.txt", place.to_str());
        let root = root.canonicalize().unwrap();
        assert!(
            gone_from(root.join("gone.txt")) && !gone_from(root.with_file_name("elsewhere").join("gone.txt"))
        );
    }

    #[test]
    fn the_same_file_twice_is_one_document_and_two_files_of_one_path_are_refused() {
        let temp = tree();
        let file = temp.path().join("reports/b.txt");
        let twice = discover(&[file.clone(), temp.path().join("reports/../reports/b.txt")], None).unwrap();
        assert_eq!(twice.files.keys().collect::<Vec<_>>(), ["b.txt"]);
        assert!(twice.covers("b.txt", None));

        let other = temp.path().join("b.txt");
        fs::write(&other, "other").unwrap();
        let clash = discover(&[file, other], None).unwrap_err();
        assert!(matches!(clash, Error::SamePath { ref document, .. } if document == "b.txt"), "{clash}");
    }

    #[test]
    fn another_name_stands_for_that_of_the_one_input() {
        let temp = tree();
        let root = temp.path().join("reports");
        let paths = |input: &Path, name: &str| {
            let found = discover(&[input.to_owned()], Some(name)).unwrap();
            found.files.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(paths(&root, "old"), ["old/2023/q1.md", "old/b.txt"]);
        assert_eq!(paths(&root.join("b.txt"), "c.txt"), ["c.txt"]);
        for name in ["", " ", ".", "..", "a/b", "a\nb"] {
            let refused = discover(std::slice::from_ref(&root), Some(name)).unwrap_err();
            assert!(matches!(refused, Error::StoredName { .. }), "{name:?}: {refused}");
        }
        let two = discover(&[root.clone(), root], Some("old")).unwrap_err();
        assert!(matches!(two, Error::StoredName { .. }), "{two}");
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
        let found = discover(&[root], None).unwrap();
        assert!(
            found.files.contains_key("reports/b.txt") && found.files.contains_key("reports/caf\u{fffd}.txt")
        );
        assert_eq!(found.skipped.len(), 1, "{:?}", found.skipped);
        assert_eq!(found.skipped[0].path, "reports/caf\u{fffd}.txt");
    }

    #[test]
    fn a_missing_input_is_an_error_that_names_it() {
        let error = discover(&[PathBuf::from("/no/such/place")], None).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
    }
}
