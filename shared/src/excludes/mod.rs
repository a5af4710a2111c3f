//! Exclude lines as people bring them from other tools: which of them mean in gitignore syntax what they were written for, which
//! can be written otherwise, and which leave out nothing here or everything.
//!
//! Patterns are relative to each path of a source. A line that matches nothing is worse than none: what it was to keep out is
//! locked for months. So a line is read when it is typed, by the same function in the browser and the server. The agent takes stored
//! lines as they are.

mod brackets;
mod elsewhere;
mod verdict;

use elsewhere::{borg, restic, rsync, shell, windows};
pub use verdict::Verdict;

/// How often what is to be written instead may need to be written otherwise itself: `- "./a"`.
const MAX_STEPS: usize = 6;
/// How many lines are looked at for one that was typed: braces in a row multiply.
const MAX_LINES: usize = 100;

/// Where a line stands.
#[derive(Clone, Copy)]
struct Context<'a> {
    above: &'a [String],
    below: &'a [String],
    paths: &'a [String],
}

/// Reads the line with this number, from 0 on, of the lines of a source with these paths. What is to be written instead is kept when
/// it is written. A number behind the last line is read as an empty one.
#[must_use]
pub fn read(lines: &[String], number: usize, paths: &[String]) -> Verdict {
    let Some((line, below)) = lines.get(number..).and_then(<[String]>::split_first) else {
        return Verdict::Keep;
    };
    let context = Context {
        above: &lines[..number],
        below,
        paths,
    };
    let mut budget = MAX_LINES;
    settled(line, context, MAX_STEPS, &mut budget)
}

fn settled(line: &str, context: Context<'_>, steps: usize, budget: &mut usize) -> Verdict {
    if *budget == 0 {
        return Verdict::Refuse(
            "it stands for more than a hundred patterns; write those that are needed".into(),
        );
    }
    *budget -= 1;
    let (written, why) = match once(line.trim(), context) {
        Verdict::Write { patterns, why } => (patterns, why),
        other => return other,
    };
    if steps == 0 {
        return Verdict::Refuse(why);
    }
    let mut patterns = Vec::new();
    for pattern in written {
        match settled(&pattern, context, steps - 1, budget) {
            Verdict::Keep => patterns.push(pattern.trim().to_owned()),
            Verdict::Write { patterns: more, .. } => patterns.extend(more),
            refused @ Verdict::Refuse(_) => return refused,
        }
    }
    patterns.retain(|pattern| !pattern.is_empty());
    if patterns.is_empty() {
        return Verdict::Refuse("it leaves out nothing".into());
    }
    Verdict::Write { patterns, why }
}

fn once(line: &str, context: Context<'_>) -> Verdict {
    if line.is_empty() || line.starts_with('#') {
        return Verdict::Keep;
    }
    if let Some(verdict) = rsync(line).or_else(|| negated(line, context.above)) {
        return verdict;
    }
    // What brings something back is written like what leaves it out.
    if let Some(kept) = line.strip_prefix('!') {
        return match judged(kept, context) {
            Some(Verdict::Write { patterns, why }) => Verdict::Write {
                patterns: patterns
                    .into_iter()
                    .map(|pattern| format!("!{pattern}"))
                    .collect(),
                why,
            },
            Some(refused) => refused,
            None => Verdict::Keep,
        };
    }
    everything(line, context.below)
        .or_else(|| judged(line, context))
        .unwrap_or(Verdict::Keep)
}

fn judged(line: &str, context: Context<'_>) -> Option<Verdict> {
    let paths = context.paths;
    quoted(line)
        .or_else(|| borg(line, paths))
        .or_else(|| shell(line))
        .or_else(|| windows(line, paths))
        .or_else(|| several(line))
        .or_else(|| brackets::read(line))
        .or_else(|| restic(line))
        .or_else(|| full_path(line, paths))
        .or_else(|| parts(line))
}

fn quoted(line: &str) -> Option<Verdict> {
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| line.strip_prefix(*quote)?.strip_suffix(*quote))?;
    Verdict::write(inner, "quotes are part of the name here")
}

/// `*.tmp;*.bak`
fn several(line: &str) -> Option<Verdict> {
    let parts: Vec<&str> = line.split([';', ',']).map(str::trim).collect();
    let is_list = parts.len() > 1
        && !line.contains(['{', '['])
        && parts
            .iter()
            .all(|part| part.starts_with(['*', '.']) && !part.contains(' '));
    is_list.then(|| Verdict::Write {
        patterns: parts.into_iter().map(str::to_owned).collect(),
        why: "each pattern needs a line of its own".into(),
    })
}

/// Everything, and nothing of it is brought back by a line below.
fn everything(line: &str, below: &[String]) -> Option<Verdict> {
    let is_all = line.chars().all(|letter| matches!(letter, '*' | '/'));
    if is_all && !below.iter().any(|line| line.trim_start().starts_with('!')) {
        return Verdict::refuse("it leaves out everything, and the backup would be empty");
    }
    None
}

/// `!src/keep` below `src`.
fn negated(line: &str, above: &[String]) -> Option<Verdict> {
    let kept = line.strip_prefix('!')?;
    let plain = |text: &str| text.trim_matches('/').to_owned();
    let kept = plain(kept);
    let around = above.iter().find(|folder| {
        kept.strip_prefix(&plain(folder))
            .is_some_and(|rest| rest.starts_with('/'))
    })?;
    Verdict::refuse(format!(
        "it brings nothing back, since `{around}` leaves the whole folder out; write `{}/*` instead of `{around}`",
        around.trim_end_matches('/')
    ))
}

/// Folders in which full paths of Unix machines begin.
const TOP_FOLDERS: &[&str] = &[
    "Users", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "srv", "sys", "tmp", "usr", "var",
];

/// `/srv/data/src` in a source of `/srv/data`.
fn full_path(line: &str, paths: &[String]) -> Option<Verdict> {
    let bare = line.trim_end_matches('/');
    let is_unix = paths.iter().all(|path| path.starts_with('/') && path != "/");
    if !bare.starts_with('/') || !is_unix {
        return None;
    }
    for path in paths {
        if bare == path {
            return Verdict::refuse("it leaves out all of a path of the source; take that path away instead");
        }
        if let Some(rest) = line.strip_prefix(path.as_str())
            && rest.starts_with('/')
        {
            if paths.len() > 1 {
                return Verdict::refuse(format!(
                    "a pattern goes for every path of the source, and begins there; make `{path}` a source of its own, with `{rest}`"
                ));
            }
            return Verdict::write(
                rest,
                format!("a pattern begins at the source's path, here `{path}`"),
            );
        }
    }
    let mut parts = bare.split('/').skip(1);
    let top = parts.next().unwrap_or_default();
    let inside = parts.next().is_some() && TOP_FOLDERS.contains(&top);
    inside.then(|| {
        Verdict::Refuse(format!(
            "it is below no path of the source; for a folder of that name within a path write `{}`",
            bare.trim_start_matches('/')
        ))
    })
}

/// Parts between slashes that no file has.
fn parts(line: &str) -> Option<Verdict> {
    let pattern = line;
    if pattern.contains("//") {
        return Verdict::refuse("no path has two slashes in a row");
    }
    let mut parts = pattern.split('/');
    if parts.clone().any(|part| matches!(part, "." | "..")) {
        return Verdict::refuse("`.` and `..` are in no path of a backup");
    }
    let folders = pattern.rsplit_once('/').map_or("", |(folders, _)| folders);
    if !folders.is_empty() && parts.any(|part| part.ends_with(' ') && !part.ends_with("\\ ")) {
        return Verdict::refuse("there is a space before a slash");
    }
    None
}

#[cfg(test)]
mod tests;
