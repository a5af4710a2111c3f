//! Links in the way of a restore in place. A backup follows the links in a path of its source; a restore writes through none. So a
//! path that led elsewhere at the backup is put back where it led, if it leads there still.

use std::{
    io,
    path::{Path, PathBuf},
};

use repository::manifest::Root;

use crate::{escape::escaped, platform};

/// Why nothing is restored: a path leads elsewhere than it did at the backup.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{link} is a link here, by which {path} leads to {now}; {then}. Nothing was restored. Point the link to where it led, or take \
     it away, and restore again; or restore below another folder with --to"
)]
pub struct LinkInTheWay {
    /// The path of the source.
    pub path: String,
    /// The first link in it.
    pub link: String,
    /// Where the path leads now.
    pub now: String,
    /// Where it led at the backup, in words.
    pub then: String,
}

/// What a snapshot's paths lead to on this machine.
pub(super) struct Followed {
    /// The roots, where they lie.
    pub(super) roots: Vec<Root>,
    /// What is wanted of them.
    pub(super) paths: Vec<Vec<u8>>,
    /// What was done.
    pub(super) notes: Vec<String>,
}

/// The file system, as far as it is asked.
pub(super) trait Links {
    /// Whether a link stands there; not what it leads to.
    fn is_link(&self, path: &Path) -> bool;
    /// The path without links.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
}

pub(super) struct ThisMachine;

impl Links for ThisMachine {
    fn is_link(&self, path: &Path) -> bool {
        path.is_symlink()
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }
}

impl Followed {
    /// No path leads elsewhere.
    pub(super) fn nothing(roots: &[Root], paths: &[Vec<u8>]) -> Self {
        Self {
            roots: roots.to_vec(),
            paths: paths.to_vec(),
            notes: Vec::new(),
        }
    }
}

/// Follows the links in the paths of the source that were followed at the backup.
pub(super) fn follow(
    roots: &[Root],
    paths: &[Vec<u8>],
    links: &impl Links,
) -> Result<Followed, LinkInTheWay> {
    let wanted: Vec<PathBuf> = paths.iter().map(|path| plain(path)).collect();
    let mut followed = Followed {
        roots: Vec::new(),
        paths: Vec::new(),
        notes: Vec::new(),
    };
    // Which of the wanted paths mean something below a root that is where it was.
    let mut stay = vec![false; paths.len()];
    for root in roots {
        let path = plain(&root.path);
        let is_above = |wanted: &PathBuf| path.starts_with(wanted) || wanted.starts_with(&path);
        let touched: Vec<usize> = (0..wanted.len()).filter(|at| is_above(&wanted[*at])).collect();
        let link = path
            .ancestors()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .find(|part| links.is_link(part));
        let is_wanted = paths.is_empty() || !touched.is_empty();
        let (Some(link), true) = (link, is_wanted) else {
            touched.into_iter().for_each(|at| stay[at] = true);
            followed.roots.push(root.clone());
            continue;
        };
        let now = resolved(&path, links);
        let then = root.walked.as_ref().map(|walked| plain(walked));
        if then.as_ref() != Some(&now) {
            return Err(in_the_way(&path, link, &now, then.as_deref()));
        }
        followed.notes.push(format!(
            "{} leads to {}, as it did at the backup: its files are there",
            shown(&path),
            shown(&now)
        ));
        for at in touched {
            let below = wanted[at].strip_prefix(&path).map(|rest| now.join(rest));
            let below = below.unwrap_or_else(|_| now.clone());
            followed.paths.push(bytes(below));
        }
        followed.roots.push(Root {
            path: bytes(now),
            ..root.clone()
        });
    }
    let unmet = |at: &usize| {
        !roots.iter().any(|root| {
            let path = plain(&root.path);
            path.starts_with(&wanted[*at]) || wanted[*at].starts_with(&path)
        })
    };
    // One that is in no root is told of by whoever reads the tree.
    let kept = (0..paths.len()).filter(|at| stay[*at] || unmet(at));
    followed.paths.extend(kept.map(|at| paths[at].clone()));
    once(&mut followed);
    Ok(followed)
}

/// Two paths that lead to one place, or one into the other, are put back once.
fn once(followed: &mut Followed) {
    let roots = std::mem::take(&mut followed.roots);
    for (at, root) in roots.iter().enumerate() {
        let path = plain(&root.path);
        let other = roots.iter().enumerate().find(|(other_at, other)| {
            let other = plain(&other.path);
            let is_first = path != other || *other_at < at;
            *other_at != at && path.starts_with(&other) && is_first
        });
        match other {
            Some((_, other)) => followed.notes.push(format!(
                "two paths of the source lead to {}: it was put back once, as a part of {}",
                shown(&path),
                shown(&plain(&other.path))
            )),
            None => followed.roots.push(root.clone()),
        }
    }
}

fn in_the_way(path: &Path, link: &Path, now: &Path, then: Option<&Path>) -> LinkInTheWay {
    LinkInTheWay {
        path: shown(path),
        link: shown(link),
        now: shown(now),
        then: then.map_or_else(
            || "the backup went through no link there, or is of a version that does not tell".to_owned(),
            |then| format!("at the backup it led to {}", shown(then)),
        ),
    }
}

/// Where a path leads, also when its end is not there.
fn resolved(path: &Path, links: &impl Links) -> PathBuf {
    for part in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (links.resolve(part), path.strip_prefix(part)) {
            return if rest.as_os_str().is_empty() {
                found
            } else {
                found.join(rest)
            };
        }
    }
    path.to_owned()
}

/// A path without doubled slashes and dots.
fn plain(path: &[u8]) -> PathBuf {
    Path::new(platform::os(path)).components().collect()
}

fn bytes(path: PathBuf) -> Vec<u8> {
    platform::bytes(&path).to_vec()
}

fn shown(path: &Path) -> String {
    escaped(platform::bytes(path))
}

#[cfg(test)]
mod tests;
