//! Lines that people brought: from restic 0.19, Borg 1.4, rsync, Windows, and from no tool at all.

use proptest::prelude::*;

use super::{Verdict, read};

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn verdict_in(paths: &[&str], line: &str) -> Verdict {
    read(&lines(&[line]), 0, &lines(paths))
}

fn verdict(line: &str) -> Verdict {
    verdict_in(&["/srv/data"], line)
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
        ("pf:/srv/data/motd", &["/motd"]),
        ("!/srv/data/c/keep", &["!/c/keep"]),
        ("a}", &["a\\}"]),
        ("temp\\.git", &["temp/.git"]),
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
    let read = verdict_in(&["C:\\"], "C:\\Users\\*\\AppData");
    let Verdict::Write { patterns, .. } = read else {
        panic!("{read:?}")
    };
    assert_eq!(patterns, ["/Users/*/AppData"]);
}

#[test]
fn lines_that_leave_out_nothing_or_everything_are_refused() {
    for line in [
        "/home/u/cache",
        "/etc/motd",
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
    let paths = lines(&["/srv/data"]);
    let Verdict::Refuse(why) = read(&lines(&["*.o", "/src/", "!src/keep"]), 2, &paths) else {
        panic!()
    };
    assert!(why.contains("`/src/*`"), "{why}");
    assert_eq!(read(&lines(&["src/*", "!src/keep"]), 1, &paths), Verdict::Keep);
}

#[test]
fn everything_but_what_is_brought_back_is_kept() {
    for list in [["/*", "!/src"], ["*", "!*.pdf"]] {
        for number in 0..2 {
            assert_eq!(
                read(&lines(&list), number, &lines(&["/srv"])),
                Verdict::Keep,
                "{list:?}"
            );
        }
    }
}

#[test]
fn full_paths_are_read_by_the_paths_of_the_source() {
    assert_eq!(verdict_in(&["/"], "/home/u/cache"), Verdict::Keep);
    // It would leave out the folder of that name in the other path as well.
    let several = verdict_in(&["/etc", "/var/lib"], "/var/lib/mysql");
    assert!(matches!(several, Verdict::Refuse(_)), "{several:?}");
}

#[test]
fn braces_in_a_row_end() {
    let Verdict::Refuse(why) = verdict(&"{a,b,c,d,e,f,g,h,i,j}".repeat(4)) else {
        panic!()
    };
    assert!(why.contains("hundred"), "{why}");
    for many in ["{a,b,c,d,e,f,g,h,i,j}".repeat(40), "{,,,,,,,,,,,,,,,,}".repeat(6)] {
        assert!(matches!(verdict(&many), Verdict::Refuse(_)), "{many}");
    }
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
}
