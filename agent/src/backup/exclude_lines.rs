//! The exclude lines of a source: which of them leaves a name out, and which have matched nothing so far.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder, Glob},
};

use super::error::BackupError;

/// Exclude lines in gitignore syntax.
pub(super) struct ExcludeLines {
    all: Gitignore,
    /// The stored lines, without spaces behind them, as the patterns have them.
    lines: Vec<String>,
    /// The numbers of the lines that are patterns, by their text.
    numbers: HashMap<String, Vec<usize>>,
    /// Whether a line has matched something.
    matched: Vec<AtomicBool>,
    /// The patterns that have not. The last line that matches a name decides, so the others are asked apart.
    rest: RwLock<Arc<Gitignore>>,
    /// The numbers of the lines that are no patterns, and why.
    unread: Vec<(usize, String)>,
}

impl ExcludeLines {
    /// # Errors
    /// When lines that are patterns, each alone, are none together.
    pub(super) fn new(lines: &[String]) -> Result<Self, BackupError> {
        let lines: Vec<String> = lines.iter().map(|line| as_pattern(line).to_owned()).collect();
        let (mut numbers, mut unread) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        let mut taken = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            match patterns(std::slice::from_ref(line)) {
                Ok(pattern) => {
                    // A comment is none.
                    if !pattern.is_empty() {
                        numbers.entry(line.clone()).or_default().push(number);
                    }
                    taken.push(line.clone());
                }
                Err(error) => unread.push((number, error.to_string())),
            }
        }
        let all = patterns(&taken)?;
        Ok(Self {
            rest: RwLock::new(Arc::new(all.clone())),
            matched: lines.iter().map(|_| AtomicBool::new(false)).collect(),
            all,
            lines,
            numbers,
            unread,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The number of the line that leaves a name out; `None` when none does.
    pub(super) fn leaving_out(&self, path: &Path, is_folder: bool) -> Option<usize> {
        match self.all.matched(path, is_folder) {
            Match::Ignore(glob) => Some(self.numbers_of(glob).last().copied().unwrap_or_default()),
            Match::None | Match::Whitelist(_) => None,
        }
    }

    /// The same, and every line that matches the name counts as one that has matched something.
    pub(super) fn leaving_out_noted(&self, path: &Path, is_folder: bool) -> Option<usize> {
        if !self.all.matched(path, is_folder).is_none() {
            self.note(path, is_folder);
        }
        self.leaving_out(path, is_folder)
    }

    fn note(&self, path: &Path, is_folder: bool) {
        loop {
            let rest = self.rest.read().unwrap_or_else(PoisonError::into_inner).clone();
            let (Match::Ignore(glob) | Match::Whitelist(glob)) = rest.matched(path, is_folder) else {
                return;
            };
            let numbers = self.numbers_of(glob);
            if numbers.is_empty() {
                return;
            }
            for number in numbers {
                self.matched[*number].store(true, Relaxed);
            }
            let mut rest = self.rest.write().unwrap_or_else(PoisonError::into_inner);
            let left: Vec<String> = self.waiting().map(|number| self.lines[number].clone()).collect();
            // Each line is a pattern, and so are all of them.
            *rest = Arc::new(patterns(&left).unwrap_or_else(|_| Gitignore::empty()));
        }
    }

    fn numbers_of(&self, glob: &Glob) -> &[usize] {
        self.numbers.get(glob.original()).map_or(&[], Vec::as_slice)
    }

    /// Patterns that have matched nothing.
    fn waiting(&self) -> impl Iterator<Item = usize> {
        let is_pattern = |number: &usize| self.numbers.contains_key(&self.lines[*number]);
        (0..self.lines.len())
            .filter(is_pattern)
            .filter(|number| !self.matched[*number].load(Relaxed))
    }

    /// Numbers of the lines that have matched nothing, ascending; none that is no pattern.
    pub(super) fn unmatched(&self) -> Vec<usize> {
        self.waiting().collect()
    }

    /// Numbers of the lines that are no patterns, and why.
    pub(super) fn unread(&self) -> &[(usize, String)] {
        &self.unread
    }

    /// The text of a line.
    pub(super) fn line(&self, number: usize) -> &str {
        self.lines.get(number).map_or("", String::as_str)
    }
}

/// A line without what does not count: spaces at its end, unless the last is escaped.
fn as_pattern(line: &str) -> &str {
    if line.ends_with("\\ ") {
        line
    } else {
        line.trim_end()
    }
}

/// Patterns in gitignore syntax, relative to a path of the source.
pub(super) fn patterns(lines: &[String]) -> Result<Gitignore, BackupError> {
    let wrong = |pattern: String, error: ignore::Error| BackupError::Pattern {
        pattern,
        error: error.to_string(),
    };
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder
            .add_line(None, line)
            .map_err(|error| wrong(line.clone(), error))?;
    }
    builder.build().map_err(|error| wrong(lines.join(" "), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> ExcludeLines {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        ExcludeLines::new(&lines).unwrap()
    }

    /// Lines of before they could be refused: none fails a run, and what one left out stays out.
    #[test]
    fn a_stored_exclude_line_that_is_no_pattern_is_told_of() {
        let lines = lines(&["fine", "secret\\", "log[0-"]);
        let unread: Vec<usize> = lines.unread().iter().map(|(number, _)| *number).collect();
        assert_eq!(unread, [1]);
        assert_eq!(lines.line(1), "secret\\");
        for (name, number) in [("fine", 0), ("log[0-", 2)] {
            assert_eq!(lines.leaving_out(Path::new(name), false), Some(number), "{name}");
        }
        assert_eq!(lines.unmatched(), [0, 2]);
    }

    #[test]
    fn spaces_at_the_end_count_when_they_are_escaped() {
        let lines = lines(&["a  ", "b\\ ", "\\#c", "\\!d"]);
        for (number, name) in ["a", "b ", "#c", "!d"].into_iter().enumerate() {
            assert_eq!(
                lines.leaving_out_noted(Path::new(name), false),
                Some(number),
                "{name}"
            );
        }
        assert!(lines.unmatched().is_empty() && lines.unread().is_empty());
    }

    /// What a later line decides an earlier one matched as well.
    #[test]
    fn lines_that_match_nothing_are_told_from_those_that_another_outdoes() {
        let lines = lines(&[
            "*.tmp",
            "# notes",
            "",
            "/cache/",
            "!keep.tmp",
            "*.tmp",
            "a.*",
            "/s/secret/",
            "none*",
        ]);
        let all_but_comments = [0, 3, 4, 5, 6, 7, 8];
        assert_eq!(lines.unmatched(), all_but_comments);
        assert_eq!(lines.leaving_out(Path::new("a.tmp"), false), Some(6));
        assert_eq!(lines.unmatched(), all_but_comments, "asking notes nothing");
        for (name, is_folder, number) in [
            ("a.tmp", false, Some(6)),
            ("keep.tmp", false, Some(5)),
            ("cache", false, None),
            ("other", false, None),
        ] {
            assert_eq!(
                lines.leaving_out_noted(Path::new(name), is_folder),
                number,
                "{name}"
            );
        }
        assert_eq!(lines.unmatched(), [3, 7, 8]);
        assert_eq!(lines.leaving_out_noted(Path::new("cache"), true), Some(3));
        assert_eq!(lines.unmatched(), [7, 8]);
    }

    /// Any line that matches one of the names by itself counts, whatever the others say.
    #[test]
    fn a_line_counts_as_if_it_stood_alone() {
        let all = ["*", "!*.rs", "a/", "/a", "b*", "**/c", "!b", "*.rs", "z"];
        let names = [("a", true), ("a/c", false), ("b", false), ("x.rs", false)];
        for count in 0..=all.len() {
            let together = lines(&all[..count]);
            for (name, is_folder) in names {
                together.leaving_out_noted(Path::new(name), is_folder);
            }
            let alone: Vec<usize> = (0..count)
                .filter(|number| {
                    let line = patterns(&[all[*number].to_owned()]).unwrap();
                    names
                        .iter()
                        .all(|(name, is_folder)| line.matched(Path::new(name), *is_folder).is_none())
                })
                .collect();
            assert_eq!(together.unmatched(), alone, "{count}");
        }
    }
}
