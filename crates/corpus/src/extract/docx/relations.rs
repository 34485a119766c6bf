//! Which parts of a package belong together (ECMA-376 part 2, clause 8): a part is found through the relationship that
//! leads to it. Names such as `word/document.xml` are custom, not rule.

use super::archive::Archive;
use super::text_of;
use crate::extract::xml::{Step, Xml};
use crate::extract::{ExtractError, Limits};

/// Last segment of the relationship's type, and the name of the archive member it leads to.
#[derive(Debug, Default)]
pub struct Relations(Vec<(String, String)>);

impl Relations {
    /// The relationships of a part, or of the package where `part` is empty; none where the archive has none.
    pub fn of(archive: &mut Archive<'_>, part: &str, limits: &Limits) -> Result<Self, ExtractError> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let source = resolve(folder, &format!("_rels/{name}.rels"));
        let Some(bytes) = archive.member(&source)? else { return Ok(Self::default()) };
        let text = text_of(&bytes, limits)?;
        let mut xml = Xml::new(&text, limits);
        let mut found = Vec::new();
        while let Some(step) = xml.next()? {
            let Step::Open(element) = step else { continue };
            if element.name != "Relationship"
                || element.attribute("TargetMode").as_deref() == Some("External")
            {
                continue;
            }
            if let (Some(kind), Some(target)) = (element.attribute("Type"), element.attribute("Target")) {
                // The types of the strict and the transitional schema differ in all but their last segment.
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                found.push((kind, resolve(folder, &target)));
            }
        }
        Ok(Self(found))
    }

    /// The first part of a kind, such as `officeDocument` or `styles`.
    pub fn part(&self, kind: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == kind).map(|(_, part)| part.as_str())
    }
}

/// A target against the folder of its source; steps above the root are dropped. The result is looked up in the archive
/// and nowhere else.
fn resolve(folder: &str, target: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let base = if target.starts_with('/') { "" } else { folder };
    for segment in base.split('/').chain(target.split('/')) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_relative_to_their_source_and_never_leave_the_archive() {
        assert_eq!(resolve("word", "styles.xml"), "word/styles.xml");
        assert_eq!(resolve("word", "/docs/./main.xml"), "docs/main.xml");
        assert_eq!(resolve("word", "../media/a.png"), "media/a.png");
        assert_eq!(resolve("word", "../../../etc/passwd"), "etc/passwd");
    }
}
