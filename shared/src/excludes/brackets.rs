//! Classes of letters, and braces, which mean several things to several tools.

use super::verdict::Verdict;

const BRACES: &str = "`{` and `}` need a backslash when they are part of a name";

pub(super) fn read(line: &str) -> Option<Verdict> {
    if !are_closed(line) {
        return Verdict::refuse("a bracket is opened and not closed; write `\\[` for the sign itself");
    }
    let Some(open) = find(line, 0, '{') else {
        find(line, 0, '}')?;
        return Verdict::write(escaped(line), BRACES);
    };
    let (inside, behind) = match find(line, open + 1, '}') {
        Some(close) => (&line[open + 1..close], &line[close + 1..]),
        None => ("", ""),
    };
    if inside.contains(',') {
        let lines = alternatives(&line[..open], inside, behind);
        return match lines {
            Some(patterns) => Some(Verdict::Write {
                patterns,
                why: "braces are signs of a name in gitignore syntax".into(),
            }),
            None => Verdict::refuse("braces are not read; write a line for each pattern"),
        };
    }
    Verdict::write(
        escaped(line),
        "`{` and `}` need a backslash when they are part of a name",
    )
}

/// Where a sign is at or behind `from` that no backslash stands before, outside classes.
fn find(line: &str, from: usize, sign: char) -> Option<usize> {
    let (mut is_escaped, mut is_class) = (false, false);
    line.char_indices().find_map(|(at, letter)| {
        let is_it = !is_escaped && !is_class && letter == sign && at >= from;
        if !is_escaped {
            is_class = (is_class || letter == '[') && letter != ']';
        }
        is_escaped = !is_escaped && letter == '\\';
        is_it.then_some(at)
    })
}

/// Whether each class ends. Right behind its beginning `]` is a letter of it.
fn are_closed(line: &str) -> bool {
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '[' => {
                letters.next_if(|letter| matches!(letter, '!' | '^'));
                letters.next_if_eq(&']');
                if !letters.by_ref().any(|letter| letter == ']') {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

/// `None` for braces in braces.
fn alternatives(before: &str, inside: &str, behind: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = inside.split(',').collect();
    let is_plain = !inside.contains('{');
    is_plain.then(|| {
        parts
            .iter()
            .map(|part| format!("{before}{part}{behind}"))
            .collect()
    })
}

fn escaped(line: &str) -> String {
    let mut text = String::new();
    let mut is_escaped = false;
    for letter in line.chars() {
        if matches!(letter, '{' | '}') && !is_escaped {
            text.push('\\');
        }
        is_escaped = !is_escaped && letter == '\\';
        text.push(letter);
    }
    text
}
