//! Lines that people brought: from restic 0.19, Borg 1.4, rsync, Windows, and from no tool at all.

use proptest::prelude::*;

use super::{Verdict, patterns, read};

const PATHS: [&str; 2] = ["/srv/data", "/etc"];

fn paths() -> Vec<String> {
    PATHS.map(str::to_owned).to_vec()
}

fn verdict(line: &str) -> Verdict {
    read(line, &[], &paths())
}

#[test]
fn gitignore_lines_are_kept() {
    for line in [
        "*.log",
        "build",
        "src/**",
        "sp ace",
        "/build",
        "/build/out",
        "a/b",
        "cache/",
        "[!a]*",
        "log[0-9]",
        "[]]",
        "[^]x]",
        "$RECYCLE.BIN",
        "thumbs.db",
        "\\{3808876b\\}",
        "\\!important",
        "\\#1",
        "a\\ b",
        "a\\[b",
        "**/tmp",
        "#comment",
        "!keep",
        "100%",
        "50%-75%",
        "P",
        "a, b",
        ".cache",
        "name;1",
        "tilde~",
        "a\\\\b",
    ] {
        assert_eq!(verdict(line), Verdict::Keep, "{line}");
    }
}

#[test]
fn lines_that_mean_something_else_say_what_to_write() {
    for (line, expected) in [
        ("/srv/data/src", &["/src"][..]),
        ("/srv/data/secret/", &["/secret/"]),
        ("/srv/data/cache/**", &["/cache/**"]),
        ("./src", &["/src"]),
        ("$$x", &["$x"]),
        ("*/node_modules", &["node_modules"]),
        ("*/x.tmp", &["x.tmp"]),
        ("fm:*.o", &["*.o"]),
        ("sh:**/x", &["**/x"]),
        ("pp:/srv/data/src", &["/src"]),
        ("pf:/etc/motd", &["/motd"]),
        ("- *.tmp", &["*.tmp"]),
        ("x/***", &["x/"]),
        ("AppData\\Local", &["AppData/Local"]),
        ("node_modules\\", &["node_modules/"]),
        ("*.tmp;*.bak", &["*.tmp", "*.bak"]),
        ("*.tmp, *.bak", &["*.tmp", "*.bak"]),
        ("{3808876b-c176}", &["\\{3808876b-c176\\}"]),
        ("{broken", &["\\{broken"]),
        ("*.{tmp,bak}", &["*.tmp", "*.bak"]),
        ("{a,b}/{c,d}", &["a/c", "a/d", "b/c", "b/d"]),
        ("\"*.tmp\"", &["*.tmp"]),
        ("'a b'", &["a b"]),
    ] {
        let Verdict::Write { patterns, why } = verdict(line) else {
            panic!("{line}: {:?}", verdict(line))
        };
        assert_eq!(patterns, expected, "{line}");
        assert!(!why.is_empty());
    }
    let windows = ["C:\\".to_owned()];
    let read = read("C:\\Users\\*\\AppData", &[], &windows);
    let Verdict::Write { patterns, .. } = read else {
        panic!("{read:?}")
    };
    assert_eq!(patterns, ["/Users/*/AppData"]);
}

#[test]
fn lines_that_leave_out_nothing_or_everything_are_refused() {
    for line in [
        "/home/u/cache",
        "/etc",
        "/srv/data/",
        "$HOME/x",
        "${X}",
        "a/${X}",
        "re:^a",
        "! x",
        "P fm",
        "R /srv",
        "+ *.tmp",
        "H x",
        ". file",
        ": .rsync-filter",
        "!",
        "pp:/home/u",
        "C:\\x",
        "c:/x",
        "%TEMP%",
        "%APPDATA%\\x",
        "[a-",
        "log[0-9",
        "[]",
        "*.tmp # why",
        "~/x",
        "~",
        "../x",
        "a/../b",
        "//x",
        "a//b",
        "secret /",
        "*",
        "**",
        "/**",
        "*/",
        "/",
        "**/*",
    ] {
        assert!(
            matches!(verdict(line), Verdict::Refuse(_)),
            "{line}: {:?}",
            verdict(line)
        );
    }
}

#[test]
fn a_line_cannot_bring_back_what_lies_in_a_folder_that_is_left_out() {
    let above = ["*.o".to_owned(), "/src/".to_owned()];
    let Verdict::Refuse(why) = read("!src/keep", &above, &paths()) else {
        panic!()
    };
    assert!(why.contains("`/src/*`"), "{why}");
    assert_eq!(read("!src/keep", &["src/*".to_owned()], &paths()), Verdict::Keep);
}

#[test]
fn from_the_root_every_full_path_is_right() {
    assert_eq!(read("/home/u/cache", &[], &["/".to_owned()]), Verdict::Keep);
}

proptest! {
    /// Whatever is typed: what is to be written instead is kept when it is written.
    #[test]
    fn what_is_written_instead_is_kept(line in "[a-c*/\\\\{},;\\[\\] .!~$%:-]{0,14}") {
        if let Verdict::Write { patterns, .. } = verdict(&line) {
            prop_assert!(!patterns.is_empty());
            for pattern in patterns {
                prop_assert_eq!(verdict(&pattern), Verdict::Keep, "{}", pattern);
            }
        }
    }

    #[test]
    fn any_text_is_read(line in "\\PC{0,40}") {
        prop_assert!(!patterns(std::slice::from_ref(&line), &paths()).is_empty(), "{}", line);
    }
}
