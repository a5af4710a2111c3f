//! Where a name may stand in the sources: S3's client and SQL each have one home. Tests are free.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::modules::Modules;

/// A name, and the paths below which it may stand.
struct Rule {
    /// What is looked for, in code without comments and tests.
    names: &'static [&'static str],
    /// Beginnings of paths.
    homes: &'static [&'static str],
    /// Why.
    because: &'static str,
}

const RULES: [Rule; 2] = [
    Rule {
        names: &["aws_sdk_s3", "aws_config", "aws_smithy_"],
        homes: &["bucket/src/"],
        because: "only bucket/src/ speaks S3",
    },
    Rule {
        names: &[
            "sea_orm",
            "sea_query",
            "sqlx",
            "\"SELECT ",
            "\"INSERT INTO ",
            "\"UPDATE ",
            "\"DELETE FROM ",
        ],
        homes: &["server/src/db/", "server/src/db.rs", "migrations/"],
        because: "only server/src/db/ (and the migrations) speaks SQL",
    },
];

/// Folders with rules; xtask attacks S3 and starts databases on purpose.
const CRATES: [&str; 8] = [
    "shared",
    "bucket",
    "repository",
    "agent",
    "server",
    "frontend",
    "migrations",
    "lockbox",
];

/// What is against the rules below `root`, a sentence each.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let files = files(root)?;
    Ok(files
        .iter()
        .filter(|(path, _)| CRATES.iter().any(|name| is_of(path, name)))
        .flat_map(|(path, text)| in_file(path, text))
        .collect())
}

/// Circles among the modules of each crate, a few lines each.
pub fn circles(root: &Path) -> Result<Vec<String>> {
    let files = files(root)?;
    let mut found = Vec::new();
    for name in CRATES.iter().chain(&["xtask"]) {
        let mut modules = Modules::default();
        for (path, text) in files.iter().filter(|(path, _)| is_of(path, name)) {
            let below = Path::new(path).strip_prefix(Path::new(name).join("src"))?;
            let code: Vec<&str> = code_lines(text).into_iter().map(|(_, line)| line).collect();
            modules.add(below, &code.join("\n"));
        }
        for circle in modules.circles() {
            let arrows = modules.arrows(&circle).join("\n    ");
            found.push(format!(
                "{name}: modules use each other in a circle:\n    {arrows}"
            ));
        }
    }
    Ok(found)
}

fn is_of(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with("/src/"))
}

/// The sources of every crate below `root` without their tests, by their paths.
pub fn files(root: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in CRATES.iter().chain(&["xtask"]) {
        let folder = root.join(name).join("src");
        for entry in walkdir::WalkDir::new(&folder).sort_by_file_name() {
            let entry = entry?;
            let path = entry.path().strip_prefix(root)?.to_string_lossy().into_owned();
            if entry.file_type().is_file() && path.ends_with(".rs") && !is_test_file(&path) {
                let text = fs::read_to_string(entry.path()).with_context(|| path.clone())?;
                found.push((path, text));
            }
        }
    }
    Ok(found)
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

fn in_file(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code_lines(text) {
        for rule in &RULES {
            if rule.homes.iter().any(|home| path.starts_with(home)) {
                continue;
            }
            for name in rule.names {
                if line.contains(name) {
                    let name = name.trim_matches(|c: char| !c.is_alphanumeric());
                    found.push(format!("{path}:{number}: names `{name}`; {}", rule.because));
                }
            }
        }
    }
    found
}

/// The lines of code with their numbers: without comments, and without `#[cfg(test)]` items. What is left out
/// is found by indentation, which rustfmt makes sure of.
fn code_lines(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    let mut all = text.lines().enumerate();
    while let Some((index, line)) = all.next() {
        let code = line.split("//").next().unwrap_or_default();
        if code.trim() != "#[cfg(test)]" {
            lines.push((index + 1, code));
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        for (_, line) in all.by_ref() {
            let trimmed = line.trim_start();
            let same_depth = line.len() - trimmed.len() == indent;
            if same_depth && (trimmed.starts_with('}') || trimmed.ends_with(';')) {
                break;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_and_sql_have_their_homes() {
        assert!(in_file("bucket/src/put.rs", "use aws_sdk_s3::Client;\n").is_empty());
        assert!(
            in_file(
                "server/src/db/tenant.rs",
                "use sea_orm::Statement;\n\"SELECT 1\"\n"
            )
            .is_empty()
        );
        assert!(in_file("migrations/src/lib.rs", "use sea_orm_migration::prelude::*;\n").is_empty());
    }

    #[test]
    fn elsewhere_the_file_the_line_and_the_rule_are_named() {
        let found = in_file("server/src/http/runs.rs", "fn a() {}\nuse sea_orm::Statement;\n");
        assert_eq!(
            found,
            [
                "server/src/http/runs.rs:2: names `sea_orm`; only server/src/db/ (and the migrations) speaks SQL"
            ]
        );
        assert_eq!(in_file("agent/src/upload.rs", "aws_sdk_s3::Client").len(), 1);
        assert_eq!(
            in_file("server/src/jobs/run.rs", "run(\"DELETE FROM jobs\")").len(),
            1
        );
    }

    #[test]
    fn comments_and_tests_are_free() {
        let text = "\
//! Not aws_sdk_s3.
fn a() {} // nor sea_orm

#[cfg(test)]
use aws_sdk_s3::Client;

#[cfg(test)]
mod tests {
    use sea_orm::Statement;

    fn b() {
    }
}

fn c() { sqlx::query() }
";
        let found = in_file("agent/src/lib.rs", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("agent/src/lib.rs:15"), "{}", found[0]);
        assert!(is_test_file("server/src/jobs/tests.rs"));
        assert!(!is_test_file("server/src/jobs/contests.rs"));
    }
}
