//! The folders that the demo and the story back up: sizes, names, types and metadata as real ones have them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::Path,
};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::random::Random;

/// The incompressible file of the office.
pub const LARGE_FILE: &str = "archive/plans 2025.img";
const LARGE_BYTES: u64 = 30 * 1024 * 1024;
const FOLDERS: u64 = 90;
const FILES_A_FOLDER: u64 = 35;

/// What was made.
pub struct Made {
    /// Whether the file system keeps user xattrs.
    pub xattrs: bool,
}

/// A small company's files: a few thousand of them, with every oddity that a backup must carry.
pub fn office(root: &Path) -> Result<Made> {
    let mut random = Random::new("office");
    fs::create_dir_all(root)?;
    for folder in 0..FOLDERS {
        let folder = root.join(format!("customers/{:02}/project {folder:03}", folder % 10));
        fs::create_dir_all(&folder)?;
        for number in 0..FILES_A_FOLDER {
            let size = size_of(&mut random);
            let (name, contents) = if number % 5 == 0 {
                (format!("photo {number:02}.jpg"), random.bytes(size))
            } else {
                (format!("letter {number:02}.txt"), random.text(size))
            };
            fs::write(folder.join(name), contents)?;
        }
    }
    fs::create_dir_all(root.join("archive"))?;
    fs::write(root.join(LARGE_FILE), Random::new("large").bytes(LARGE_BYTES))?;
    oddities(root)?;
    let xattrs = xattr::set(root.join("archive"), "user.holdfast.kind", b"folder").is_ok()
        && xattr::set(root.join("odd/run.sh"), "user.holdfast.note", b"bytes \x00\xff").is_ok();
    owners(root)?;
    times(root, &mut random)?;
    Ok(Made { xattrs })
}

/// Two hundred files: for the demo's tenant and the browser test.
pub fn small_office(root: &Path) -> Result<()> {
    let mut random = Random::new("small office");
    for folder in ["offers", "invoices/2025", "invoices/2026", "drawings"] {
        fs::create_dir_all(root.join(folder))?;
        for number in 0..50 {
            let size = size_of(&mut random);
            let contents = if number % 5 == 0 {
                random.bytes(size)
            } else {
                random.text(size)
            };
            fs::write(root.join(folder).join(format!("{number:03}.txt")), contents)?;
        }
    }
    fs::write(
        root.join("READ ME.txt"),
        "These files are backed up by the demo. Change some, and back up again.\n",
    )?;
    Ok(())
}

/// Files that take a backup some time.
pub fn large_random(root: &Path, name: &str, files: u64, bytes_each: u64) -> Result<()> {
    fs::create_dir_all(root)?;
    for number in 0..files {
        let contents = Random::new(&format!("{name} {number}")).bytes(bytes_each);
        fs::write(root.join(format!("disk {number:02}.img")), contents)?;
    }
    Ok(())
}

/// Many small files and some larger ones, as in real folders.
fn size_of(random: &mut Random) -> u64 {
    match random.below(100) {
        0..3 => 0,
        3..70 => random.below(4 << 10),
        70..95 => random.below(40 << 10),
        95..99 => random.below(200 << 10),
        _ => random.below(1 << 20),
    }
}

fn oddities(root: &Path) -> Result<()> {
    let odd = root.join("odd");
    fs::create_dir_all(&odd)?;
    fs::create_dir_all(root.join("empty/inside empty"))?;

    let long = "n".repeat(255);
    let names: [&[u8]; 12] = [
        b"a name with spaces ",
        b"-rf",
        b"new\nline",
        b"quote'and\"quote",
        b"back\\slash",
        b"percent%20and+plus",
        b"*",
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        b"not utf-8 \xff\xfe",
        "\u{1f5dc} 日本語".as_bytes(),
        long.as_bytes(),
    ];
    for name in names {
        fs::write(odd.join(OsStr::from_bytes(name)), name)?;
    }
    for (name, mode) in [
        ("secret.key", 0o600),
        ("run.sh", 0o755),
        ("read-only", 0o444),
        ("for-all", 0o666),
    ] {
        let file = odd.join(name);
        fs::write(&file, format!("#!/bin/sh\necho {name}\n"))?;
        set_mode(&file, mode)?;
    }
    for (name, mode) in [("private", 0o700), ("group", 0o2750), ("drop", 0o1777)] {
        let folder = odd.join(name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("inside"), name)?;
        set_mode(&folder, mode)?;
    }

    symlink("run.sh", odd.join("link to a file"))?;
    symlink("../customers", odd.join("link to a folder"))?;
    symlink("/nowhere/at all", odd.join("dangling link"))?;
    symlink(OsStr::from_bytes(b"target \xff"), odd.join("link not utf-8"))?;
    fs::hard_link(odd.join("run.sh"), odd.join("run again.sh"))?;

    let mut sparse = File::create(odd.join("sparse.img"))?;
    sparse.set_len(12 << 20)?;
    sparse.seek(SeekFrom::Start(9 << 20))?;
    sparse.write_all(b"an island")?;

    // Exactly the same contents twice, and a file of zeroes.
    fs::copy(
        root.join("customers/00/project 000/photo 00.jpg"),
        odd.join("copy of a photo.jpg"),
    )?;
    fs::write(odd.join("zeroes"), vec![0; 3 << 20])?;
    Ok(())
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(|| path.display().to_string())
}

/// Only root can give files away.
fn owners(root: &Path) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        for (path, uid, gid) in [
            ("odd/for-all", 1000, 1000),
            ("odd/drop", 33, 33),
            ("odd/-rf", 0, 1000),
        ] {
            let path = root.join(path);
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .with_context(|| path.display().to_string())?;
        }
        std::os::unix::fs::lchown(root.join("odd/dangling link"), Some(1000), Some(1000))?;
        // Giving a folder away may have taken its sticky bit along.
        set_mode(&root.join("odd/drop"), 0o1777)?;
    }
    Ok(())
}

/// Times of long ago, to the nanosecond: folders after what is in them.
fn times(root: &Path, random: &mut Random) -> Result<()> {
    for entry in walkdir::WalkDir::new(root)
        .contents_first(true)
        .sort_by_file_name()
    {
        let entry = entry?;
        let seconds = i64::try_from(1_500_000_000 + random.below(200_000_000))?;
        let nanoseconds = i64::try_from(random.below(1_000_000_000))?;
        set_time(entry.path(), seconds, nanoseconds)?;
    }
    // Before 1970, and with nothing after the second.
    set_time(&root.join("odd/read-only"), -1_000_000, 0)
}

pub(super) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) -> Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).with_context(|| path.display().to_string())
}
