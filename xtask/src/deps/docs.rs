//! What the documents name must exist: files, folders and tests of this repository, and the places in the code where each promise
//! is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::sources;

/// Where the promises are stated.
const PROMISES: &str = "docs/PROMISES.md";
/// What marks a place in the code where one is kept.
const ANCHOR: &str = "Promise: P";
/// Folders of this repository: a name in a document that begins with one is a path.
const FOLDERS: [&str; 13] = [
    "agent/",
    "bucket/",
    "docs/",
    "end2end/",
    "findings/",
    "frontend/",
    "fuzz/",
    "lockbox/",
    "migrations/",
    "repository/",
    "server/",
    "shared/",
    "xtask/",
];

/// What documents name and is not there, and where code and [`PROMISES`] disagree; a sentence each.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for document in documents(root)? {
        let text = fs::read_to_string(root.join(&document)).with_context(|| document.clone())?;
        for (line, name) in names(&text) {
            if let Some(problem) = problem(root, name) {
                found.push(format!("{document}:{line}: `{name}`: {problem}"));
            }
        }
    }
    let stated = stated(&fs::read_to_string(root.join(PROMISES)).context(PROMISES)?);
    found.extend(disagreements(&stated, &anchors(root)?));
    Ok(found)
}

fn documents(root: &Path) -> Result<Vec<String>> {
    let mut found = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in walkdir::WalkDir::new(root.join("docs")).sort_by_file_name() {
        let entry = entry?;
        let path = entry.path().strip_prefix(root)?.to_string_lossy().into_owned();
        if path.ends_with(".md") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Names in backticks that begin with a folder of this repository, and their lines.
fn names(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let in_line = |line: &'_ str| -> Vec<(usize, usize)> {
        let ends = line.match_indices('`').map(|(at, _)| at).collect::<Vec<_>>();
        ends.chunks_exact(2).map(|pair| (pair[0] + 1, pair[1])).collect()
    };
    text.lines().enumerate().flat_map(move |(at, line)| {
        let names = in_line(line).into_iter().map(move |(from, to)| &line[from..to]);
        names
            .filter(|name| FOLDERS.iter().any(|folder| name.starts_with(folder)))
            .filter(|name| !name.contains(['*', '<', '{', ' ', '…']))
            .map(move |name| (at + 1, name))
    })
}

/// Why a name is wrong: a path, or `file.rs::test`.
fn problem(root: &Path, name: &str) -> Option<String> {
    let (path, item) = match name.split_once("::") {
        Some((path, item)) => (path, Some(item)),
        None => (name, None),
    };
    if !root.join(path).exists() {
        return Some("there is no such file or folder".to_owned());
    }
    let item = item?;
    let text = fs::read_to_string(root.join(path)).unwrap_or_default();
    let is_there = text.contains(&format!("fn {item}(")) || text.contains(&format!("fn {item}<"));
    (!is_there).then(|| format!("it has no function `{item}`"))
}

/// The source files under each promise's heading, by its number.
fn stated(text: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let mut found: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut under = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## P") {
            under = number(heading);
            found.entry(under.unwrap_or_default()).or_default();
        } else if let Some(promise) = under.filter(|_| line.starts_with("- Kept in: ")) {
            let files = names(line).map(|(_, name)| name.to_owned());
            found.entry(promise).or_default().extend(files);
        }
    }
    found
}

/// The source files with anchors, by the promise's number.
fn anchors(root: &Path) -> Result<BTreeMap<u32, BTreeSet<String>>> {
    let mut found: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources::files(root)? {
        for (at, _) in text.match_indices(ANCHOR) {
            if let Some(promise) = number(&text[at + ANCHOR.len()..]) {
                found.entry(promise).or_default().insert(path.clone());
            }
        }
    }
    Ok(found)
}

fn number(text: &str) -> Option<u32> {
    let digits = text
        .find(|sign: char| !sign.is_ascii_digit())
        .unwrap_or(text.len());
    text[..digits].parse().ok()
}

fn disagreements(
    stated: &BTreeMap<u32, BTreeSet<String>>,
    anchors: &BTreeMap<u32, BTreeSet<String>>,
) -> Vec<String> {
    let mut found = Vec::new();
    let none = BTreeSet::new();
    for (promise, files) in stated {
        let marked = anchors.get(promise).unwrap_or(&none);
        if files.is_empty() {
            found.push(format!("{PROMISES}: P{promise} does not say where it is kept"));
        }
        for file in files.difference(marked) {
            found.push(format!(
                "{file}: {PROMISES} says that it keeps P{promise}; it has no `{ANCHOR}{promise}`"
            ));
        }
    }
    for (promise, files) in anchors {
        for file in files.difference(stated.get(promise).unwrap_or(&none)) {
            found.push(format!(
                "{file}: it has `{ANCHOR}{promise}`, and {PROMISES} does not name it there"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_of_this_repository() {
        let text = "See `server/src/db/` and `cargo test`.\n`shared/src/a.rs::f`, `agent/<id>`";
        let found: Vec<_> = names(text).collect();
        assert_eq!(found, [(1, "server/src/db/"), (2, "shared/src/a.rs::f")]);
    }

    #[test]
    fn a_file_or_a_test_that_is_gone_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("server")).unwrap();
        fs::write(root.path().join("server/a.rs"), "async fn holds() {}").unwrap();
        assert_eq!(problem(root.path(), "server/a.rs::holds"), None);
        assert_eq!(problem(root.path(), "server/a.rs"), None);
        assert!(
            problem(root.path(), "server/a.rs::breaks")
                .unwrap()
                .contains("`breaks`")
        );
        assert!(problem(root.path(), "server/b.rs").is_some());
    }

    #[test]
    fn promises_and_anchors_must_agree() {
        let text = "## P4 Grooming\nDeletes.\n- Kept in: `server/a.rs`, `server/b.rs`\n- Tests: `server/t.rs::t`\n## P5 Power\n";
        let stated = stated(text);
        assert_eq!(stated[&4].len(), 2);
        let anchors = BTreeMap::from([
            (4, BTreeSet::from(["server/a.rs".to_owned()])),
            (11, BTreeSet::from(["server/c.rs".to_owned()])),
        ]);
        let found = disagreements(&stated, &anchors);
        assert_eq!(found.len(), 3, "{found:?}");
        for (part, sentence) in ["server/b.rs", "P5", "server/c.rs"].iter().zip(&found) {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
