use std::collections::HashMap;

use repository::tree::{Entry, Node, UnixTime};

use super::*;

/// Links and where they lead. Everything else is there, and is no link.
struct Machine(HashMap<&'static str, &'static str>);

impl Links for Machine {
    fn is_link(&self, path: &Path) -> bool {
        self.0.contains_key(path.to_str().unwrap())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        for part in path.ancestors() {
            if let Some(to) = self.0.get(part.to_str().unwrap()) {
                if *to == "nowhere" {
                    return Err(io::ErrorKind::NotFound.into());
                }
                return Ok(plain(platform::bytes(
                    &Path::new(to).join(path.strip_prefix(part).unwrap()),
                )));
            }
        }
        Ok(path.to_owned())
    }
}

fn root(path: &str, walked: Option<&str>) -> Root {
    let time = UnixTime {
        seconds: 0,
        nanoseconds: 0,
    };
    Root {
        path: path.into(),
        walked: walked.map(|walked| walked.as_bytes().to_vec().into()),
        entry: Entry {
            name: b"docs".to_vec(),
            node: Node::Directory { pages: vec![] },
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: time,
            ctime: time,
            xattrs: vec![],
            hard_link: None,
            owner: None,
            holes: None,
            windows: None,
            further: None,
        },
    }
}

/// Roots, links that are there, wanted paths; and roots and paths afterwards, or the link that is named.
type Case = (
    &'static str,
    &'static [(&'static str, Option<&'static str>)],
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    Result<(&'static [&'static str], &'static [&'static str]), &'static str>,
);

const CASES: [Case; 13] = [
    (
        "no link anywhere",
        &[("/s/docs", None)],
        &[],
        &[],
        Ok((&["/s/docs"], &[])),
    ),
    (
        "a link above the path, as it was",
        &[("/s/link/docs", Some("/s/real/docs"))],
        &[("/s/link", "/s/real")],
        &[],
        Ok((&["/s/real/docs"], &[])),
    ),
    (
        "the path itself is a link, as it was",
        &[("/s/link", Some("/mnt/real"))],
        &[("/s/link", "/mnt/real")],
        &["/s/link/a//b", "/s"],
        Ok((&["/mnt/real"], &["/mnt/real/a/b", "/mnt/real"])),
    ),
    (
        "the link is gone: a folder is made in its place",
        &[("/s/link/docs", Some("/s/real/docs"))],
        &[],
        &["/s/link/docs/a"],
        Ok((&["/s/link/docs"], &["/s/link/docs/a"])),
    ),
    (
        "the link leads elsewhere",
        &[("/s/link/docs", Some("/s/real/docs"))],
        &[("/s/link", "/s/other")],
        &[],
        Err("/s/link"),
    ),
    (
        "the link leads nowhere",
        &[("/s/link/docs", Some("/s/real/docs"))],
        &[("/s/link", "nowhere")],
        &[],
        Err("/s/link"),
    ),
    (
        "no link at the backup, or a version that does not tell",
        &[("/s/link/docs", None)],
        &[("/s/link", "/s/real")],
        &[],
        Err("/s/link"),
    ),
    (
        "the first of two links is named",
        &[("/a/b/c/d", None)],
        &[("/a/b", "/x"), ("/a/b/c", "/y")],
        &[],
        Err("/a/b"),
    ),
    (
        "a link in the way of what nobody wants",
        &[("/s/link/docs", None), ("/t", None)],
        &[("/s/link", "/s/real")],
        &["/t/a"],
        Ok((&["/s/link/docs", "/t"], &["/t/a"])),
    ),
    (
        "one path means both a root that moved and one that did not",
        &[("/s/link/docs", Some("/mnt/docs")), ("/s/plain", None)],
        &[("/s/link", "/mnt")],
        &["/s"],
        Ok((&["/mnt/docs", "/s/plain"], &["/mnt/docs", "/s"])),
    ),
    (
        "two paths that lead to one place",
        &[("/s/link/docs", Some("/s/real/docs")), ("/s/real/docs", None)],
        &[("/s/link", "/s/real")],
        &[],
        Ok((&["/s/real/docs"], &[])),
    ),
    (
        "a path that leads into another",
        &[("/s/link", Some("/s/real/docs")), ("/s/real", None)],
        &[("/s/link", "/s/real/docs")],
        &[],
        Ok((&["/s/real"], &[])),
    ),
    (
        "a path in no root is left to be told of",
        &[("/s/link/docs", Some("/s/real/docs"))],
        &[("/s/link", "/s/real")],
        &["/nowhere"],
        Ok((&["/s/link/docs"], &["/nowhere"])),
    ),
];

#[test]
fn links_are_followed_as_at_the_backup_or_named() {
    for (why, roots, links, paths, expected) in CASES {
        let roots: Vec<Root> = roots.iter().map(|(path, walked)| root(path, *walked)).collect();
        let machine = Machine(links.iter().copied().collect());
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
        match (follow(&roots, &paths, &machine), expected) {
            (Ok(followed), Ok((roots, paths))) => {
                let found: Vec<String> = followed.roots.iter().map(|root| text(&root.path)).collect();
                assert_eq!(found, roots, "{why}");
                let found: Vec<String> = followed.paths.iter().map(|path| text(path)).collect();
                assert_eq!(found, paths, "{why}");
            }
            (Err(error), Err(link)) => {
                assert_eq!(error.link, link, "{why}");
                assert!(
                    error.to_string().starts_with(&format!("{link} is a link here")),
                    "{error}"
                );
            }
            (found, _) => panic!("{why}: {:?}", found.map(|followed| followed.paths)),
        }
    }
}
