//! Lines in the syntax of other tools, of shells and of Windows.

use super::verdict::Verdict;

/// Prefixes and commands of Borg's pattern files ("borg help patterns", 1.4).
pub(super) fn borg(line: &str, paths: &[String]) -> Option<Verdict> {
    for style in ["fm:", "sh:"] {
        if let Some(pattern) = line.strip_prefix(style) {
            return Verdict::write(pattern, format!("`{style}` is Borg's"));
        }
    }
    for style in ["pp:", "pf:"] {
        if let Some(path) = line.strip_prefix(style) {
            let below = |root: &String| path.strip_prefix(root.trim_end_matches('/'));
            let rest = paths.iter().find_map(below).filter(|rest| rest.starts_with('/'));
            return match rest {
                Some(rest) if paths.len() == 1 => {
                    let why = format!("`{style}` is Borg's, and patterns begin at the source's path");
                    Verdict::write(rest, why)
                }
                _ => Verdict::refuse(format!(
                    "`{style}` is Borg's, and patterns go for every path of the source"
                )),
            };
        }
    }
    if line.starts_with("re:") {
        return Verdict::refuse("there are no regular expressions here");
    }
    let any_level = line.strip_prefix("*/")?;
    (!any_level.contains('/') && !any_level.chars().all(|letter| letter == '*')).then(|| Verdict::Write {
        patterns: vec![any_level.to_owned()],
        why: format!("it matches one level down only; if that is meant, write `/*/{any_level}`"),
    })
}

/// Rules of rsync's filter files (rsync(1), FILTER RULES), some of which Borg has as well.
pub(super) fn rsync(line: &str) -> Option<Verdict> {
    if let Some(pattern) = line.strip_prefix("- ") {
        return Verdict::write(pattern.trim(), "`- ` is rsync's and Borg's");
    }
    let is_rule = line
        .split_once(' ')
        .is_some_and(|(rule, _)| matches!(rule, "+" | "P" | "R" | "H" | "S" | "!" | "." | ":"));
    if line == "!" || is_rule {
        return Verdict::refuse("rules of rsync and Borg are not read; in a name write `\\ ` for the space");
    }
    let folder = line.strip_suffix("/***").filter(|folder| !folder.is_empty())?;
    Verdict::write(
        format!("{folder}/"),
        "it leaves out what is in the folder, and not the folder",
    )
}

/// What a shell would have replaced, or removed.
pub(super) fn shell(line: &str) -> Option<Verdict> {
    const VARIABLE: &str = "variables are not replaced";
    if line == "~" || line.starts_with("~/") {
        return Verdict::refuse("`~` is no folder here; write the path below the source's path");
    }
    if let Some(name) = line.strip_prefix("$$") {
        return Verdict::write(format!("${name}"), "`$$` stands for two signs here");
    }
    let name = line.strip_prefix('$').and_then(|rest| rest.split_once('/'));
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if line.contains("${") || name.is_some_and(|(name, _)| is_name(name)) {
        return Verdict::refuse(VARIABLE);
    }
    let mut signs = line.split('%').skip(1);
    if line.matches('%').count() >= 2 && signs.next().is_some_and(is_name) {
        return Verdict::refuse(VARIABLE);
    }
    if line.contains(" # ") {
        return Verdict::refuse("a comment needs a line of its own; in a name write `\\#`");
    }
    None
}

/// Paths of Windows.
pub(super) fn windows(line: &str, paths: &[String]) -> Option<Verdict> {
    let bytes = line.as_bytes();
    let has_drive = bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    if has_drive {
        let pattern = line.replace('\\', "/").to_lowercase();
        let root = paths
            .iter()
            .map(|path| path.replace('\\', "/").to_lowercase())
            .find(|root| pattern.starts_with(root.trim_end_matches('/')));
        return match root {
            Some(root) => {
                let rest = &line.replace('\\', "/")[root.trim_end_matches('/').len()..];
                Verdict::write(rest, "a pattern begins at the source's path")
            }
            None => Verdict::refuse("it is below no path of the source"),
        };
    }
    // A backslash before a sign that means something else takes its meaning away; before a letter, or at the end, nobody needs it.
    let mut letters = line.chars().peekable();
    let mut is_separator = false;
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            is_separator |= letters
                .next()
                .is_none_or(|next| next.is_alphanumeric() || matches!(next, '.' | '_'));
        }
    }
    is_separator.then(|| Verdict::Write {
        patterns: vec![line.replace('\\', "/")],
        why: "folders are separated by `/`".into(),
    })
}

/// `./src`
pub(super) fn restic(line: &str) -> Option<Verdict> {
    let path = line.strip_prefix("./").filter(|path| !path.is_empty())?;
    Verdict::write(
        format!("/{path}"),
        "`.` is no part of a path here; a pattern that begins with `/` begins at the source's path",
    )
}
