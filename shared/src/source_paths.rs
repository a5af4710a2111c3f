//! What a source backs up and leaves out, as a person typed it: tidied, bounded, and without paths inside others.

use crate::{
    excludes::{self, Verdict},
    limits::Limit,
    text,
};

/// What is wrong with paths or patterns. The text begins with the field and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcePathsError {
    /// Too many lines.
    #[error("{field}: {count} lines are too many; give at most {most}, or split them into several sources")]
    TooMany {
        /// Which field.
        field: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A line is too long.
    #[error("{field}: the line that begins with `{start}…` has {bytes} bytes; use at most {most} a line")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// What it begins with.
        start: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// All lines together are too long.
    #[error(
        "paths: paths and patterns have {bytes} bytes together; use at most {most}, or split them into several sources"
    )]
    TooMuch {
        /// How long they are.
        bytes: usize,
        /// How long they may be.
        most: usize,
    },
    /// Nothing to back up.
    #[error("paths: give at least one absolute path, such as /srv/data")]
    NoPath,
    /// Not absolute, or with `.` or `..` in it.
    #[error("paths: `{0}` is not an absolute path, such as /srv/data")]
    NotAbsolute(String),
    /// A letter in it that does not show, such as NUL or a mark of direction.
    #[error("{field}: `{line}` has the hidden character {letter} in it; type the line anew, without it")]
    Hidden {
        /// Which field.
        field: &'static str,
        /// The line, or its beginning, with the letter escaped.
        line: String,
        /// The letter's number.
        letter: String,
    },
    /// A pattern that would leave out something else than what it was written for, or nothing.
    #[error("excludes: write {write} instead of `{line}`: {why}")]
    Otherwise {
        /// The line, or its beginning.
        line: String,
        /// What to write.
        write: String,
        /// What the line would mean.
        why: String,
    },
    /// A pattern of which nothing is known that it could be written as.
    #[error("excludes: take `{line}` away: {why}")]
    Useless {
        /// The line, or its beginning.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// One path lies inside another.
    #[error("paths: `{inner}` lies inside `{outer}`; give only the outer one")]
    Inside {
        /// The one inside.
        inner: String,
        /// The one around it.
        outer: String,
    },
}

impl SourcePathsError {
    /// The field that it is about: `paths` or `excludes`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::TooMany { field, .. } | Self::TooLong { field, .. } | Self::Hidden { field, .. } => field,
            Self::Otherwise { .. } | Self::Useless { .. } => "excludes",
            Self::TooMuch { .. } | Self::NoPath | Self::NotAbsolute(_) | Self::Inside { .. } => "paths",
        }
    }
}

/// Paths and patterns of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePaths {
    /// Absolute, without needless slashes, sorted by their parts, none twice and none inside another.
    pub paths: Vec<String>,
    /// Patterns in the order in which they were given, which matters in gitignore syntax.
    pub excludes: Vec<String>,
}

impl SourcePaths {
    /// Reads lines as they were typed: spaces around them and empty ones are dropped.
    ///
    /// # Errors
    /// Which field is wrong, and what to do.
    pub fn read(paths: Vec<String>, excludes: Vec<String>) -> Result<Self, SourcePathsError> {
        let mut paths = tidy("paths", paths, Limit::Paths, Limit::Path)?;
        let excludes = tidy("excludes", excludes, Limit::Excludes, Limit::Exclude)?;
        let bytes = paths.iter().chain(&excludes).map(String::len).sum();
        let most = Limit::SourceText.max();
        if bytes > most {
            return Err(SourcePathsError::TooMuch { bytes, most });
        }
        for path in &mut paths {
            if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
                return Err(SourcePathsError::NotAbsolute(start(path)));
            }
            *path = format!("/{}", parts(path).collect::<Vec<_>>().join("/"));
        }
        // Sorted by parts, what lies inside a path follows it at once; sorted by bytes, `/a-b` would stand between `/a` and
        // `/a/b`.
        paths.sort_by(|a, b| parts(a).cmp(parts(b)));
        paths.dedup();
        if paths.is_empty() {
            return Err(SourcePathsError::NoPath);
        }
        if let Some([outer, inner]) = paths
            .array_windows()
            .find(|[outer, inner]| lies_inside(inner, outer))
        {
            return Err(SourcePathsError::Inside {
                inner: start(inner),
                outer: start(outer),
            });
        }
        for (number, line) in excludes.iter().enumerate() {
            let line_start = || start(line);
            match excludes::read(&excludes, number, &paths) {
                Verdict::Keep => {}
                Verdict::Write { patterns, why } => {
                    let write: Vec<String> = patterns
                        .iter()
                        .map(|pattern| format!("`{}`", start(pattern)))
                        .collect();
                    return Err(SourcePathsError::Otherwise {
                        line: line_start(),
                        write: write.join(" and "),
                        why,
                    });
                }
                Verdict::Refuse(why) => {
                    return Err(SourcePathsError::Useless {
                        line: line_start(),
                        why,
                    });
                }
            }
        }
        Ok(Self { paths, excludes })
    }
}

/// The parts of an absolute path; none for `/`.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1).filter(|part| !part.is_empty())
}

fn lies_inside(inner: &str, outer: &str) -> bool {
    let mut inner = parts(inner);
    parts(outer).all(|part| inner.next() == Some(part)) && inner.next().is_some()
}

fn tidy(
    field: &'static str,
    lines: Vec<String>,
    count: Limit,
    length: Limit,
) -> Result<Vec<String>, SourcePathsError> {
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
        .collect();
    if lines.len() > count.max() {
        return Err(SourcePathsError::TooMany {
            field,
            count: lines.len(),
            most: count.max(),
        });
    }
    if let Some(long) = lines.iter().find(|line| line.len() > length.max()) {
        return Err(SourcePathsError::TooLong {
            field,
            start: start(long),
            bytes: long.len(),
            most: length.max(),
        });
    }
    let hidden = lines.iter().find_map(|line| Some((line, text::hidden(line)?)));
    if let Some((line, letter)) = hidden {
        return Err(SourcePathsError::Hidden {
            field,
            line: start(line),
            letter: text::number(letter),
        });
    }
    Ok(lines.into_iter().map(str::to_owned).collect())
}

/// Enough of a line to find it again, as it may be shown.
fn start(line: &str) -> String {
    text::shown(&line.chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(paths: &[&str]) -> Result<Vec<String>, SourcePathsError> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        SourcePaths::read(paths, Vec::new()).map(|read| read.paths)
    }

    #[test]
    fn lines_are_tidied() {
        assert_eq!(read(&[" /b/ ", "", "/a", "/b", "/a"]).unwrap(), ["/a", "/b"]);
        assert_eq!(
            read(&["/a", "/a-b", "/a.b", "/ab"]).unwrap(),
            ["/a", "/a-b", "/a.b", "/ab"]
        );
        assert_eq!(read(&["/"]).unwrap(), ["/"]);
        assert_eq!(read(&["  ", ""]), Err(SourcePathsError::NoPath));
        for bad in ["a", "./a", "/a/../b", "/a/.", "C:\\data"] {
            assert!(
                matches!(read(&[bad]), Err(SourcePathsError::NotAbsolute(_))),
                "{bad}"
            );
        }
        assert_eq!(read(&["//a///b//", "/a/b"]).unwrap(), ["/a/b"]);
        for (inner, outer) in [("/a/c", "/a"), ("/a/b/c", "/a"), ("/a//b", "/a"), ("/a-b", "/")] {
            let found = read(&["/a-b", inner, outer]);
            assert!(
                matches!(found, Err(SourcePathsError::Inside { .. })),
                "{inner} {outer}: {found:?}"
            );
        }
    }

    /// A letter that does not show would back up another folder than the one that is read on the page.
    #[test]
    fn hidden_letters_are_refused_at_their_field_and_shown_escaped() {
        for (letter, number) in [
            ('\0', "U+0000"),
            ('\x1b', "U+001B"),
            ('\u{202e}', "U+202E"),
            ('\u{200b}', "U+200B"),
        ] {
            let line = format!("/a{letter}b");
            let as_path = SourcePaths::read(vec![line.clone()], vec![]).unwrap_err();
            let as_pattern = SourcePaths::read(vec!["/a".into()], vec![line.clone()]).unwrap_err();
            for (refused, field) in [(as_path, "paths"), (as_pattern, "excludes")] {
                assert_eq!(refused.field(), field);
                let said = refused.to_string();
                assert!(said.starts_with(field) && said.contains(number), "{said}");
                assert_eq!(text::hidden(&said), None, "{said}");
            }
        }
        assert_eq!(read(&["/srv/می\u{200c}خواهم"]).unwrap(), ["/srv/می\u{200c}خواهم"]);
    }

    #[test]
    fn counts_and_lengths_are_bounded() {
        let many = |count: usize| (0..count).map(|nth| format!("/{nth}")).collect::<Vec<_>>();
        let most = Limit::Paths.max();
        assert!(SourcePaths::read(many(most), Vec::new()).is_ok());
        let refused = SourcePaths::read(many(most + 1), Vec::new()).unwrap_err();
        assert_eq!(refused.field(), "paths");
        let refused = SourcePaths::read(many(1), many(Limit::Excludes.max() + 1)).unwrap_err();
        assert_eq!(refused.field(), "excludes");
        let long = format!("/{}", "ä".repeat(Limit::Path.max() / 2));
        let refused = read(&[&long]).unwrap_err();
        assert!(refused.to_string().len() < 500, "{refused}");
        let line = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(read(&[&line(Limit::Path.max())]).is_ok());
        let exclude = |length: usize| SourcePaths::read(many(1), vec!["x".repeat(length)]);
        assert!(exclude(Limit::Exclude.max()).is_ok());
        assert_eq!(exclude(Limit::Exclude.max() + 1).unwrap_err().field(), "excludes");
        let sixteen = (0..16).map(|nth| format!("/{nth:02}{}", "a".repeat(4_093)));
        assert!(SourcePaths::read(sixteen.clone().collect(), Vec::new()).is_ok());
        let refused = SourcePaths::read(sixteen.collect(), vec!["x".into()]).unwrap_err();
        assert!(
            matches!(refused, SourcePathsError::TooMuch { bytes: 65_537, .. }),
            "{refused}"
        );
    }

    proptest! {
        /// Looking at neighbours finds what looking at all pairs finds.
        #[test]
        fn neighbours_suffice(paths in prop::collection::vec("(/[ab]-?){0,3}", 1..6)) {
            let paths: Vec<String> = paths.into_iter().map(|path| if path.is_empty() { "/".to_owned() } else { path }).collect();
            prop_assume!(paths.iter().all(|path| path.split('/').all(|part| !matches!(part, "." | ".."))));
            let inside = paths.iter().any(|inner| {
                paths.iter().any(|outer| {
                    outer != inner && (outer == "/" || inner.starts_with(&format!("{outer}/")))
                })
            });
            let read = SourcePaths::read(paths, Vec::new());
            prop_assert_eq!(matches!(read, Err(SourcePathsError::Inside { .. })), inside);
        }
    }
}
