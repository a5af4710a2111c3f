//! A working day in the office's folder: some files changed, added, deleted, renamed.

use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    make::{LARGE_FILE, set_mode, set_time},
    random::Random,
};

/// How many of each.
#[derive(Default)]
pub struct Changes {
    /// Other contents.
    pub changed: u64,
    /// New.
    pub added: u64,
    /// Gone.
    pub deleted: u64,
    /// Another name, or another folder.
    pub renamed: u64,
    /// Other metadata, the same contents.
    pub touched: u64,
}

/// Changes a folder that [`super::office`] made.
pub fn change(root: &Path) -> Result<Changes> {
    let mut random = Random::new("a working day");
    let mut changes = Changes::default();
    let folder = |number: u64| root.join(format!("customers/{:02}/project {number:03}", number % 10));
    let letter = |project: u64, number: u64| folder(project).join(format!("letter {number:02}.txt"));

    for project in 0..40 {
        fs::write(letter(project, 1), random.text(5000))?;
        append(&letter(project, 2), b"one more line\n")?;
        changes.changed += 2;
    }
    for project in 40..60 {
        fs::remove_file(letter(project, 3))?;
        fs::rename(letter(project, 4), folder(project + 10).join("moved here.txt"))?;
        fs::write(folder(project).join("new offer.txt"), random.text(8000))?;
        changes.deleted += 1;
        changes.renamed += 1;
        changes.added += 1;
    }
    for project in 60..70 {
        set_mode(&letter(project, 6), 0o640)?;
        set_time(&letter(project, 7), 1_750_000_000, 123_456_789)?;
        OpenOptions::new()
            .write(true)
            .open(letter(project, 8))?
            .set_len(0)?;
        changes.touched += 2;
        changes.changed += 1;
    }
    // Metadata of the same second, apart by nanoseconds only, and contents of the same length.
    let before = letter(71, 9);
    let length = fs::metadata(&before)?.len().max(10);
    fs::write(&before, random.bytes(length))?;
    set_time(&before, 1_600_000_000, 1)?;
    changes.changed += 1;

    fs::rename(folder(80), root.join("customers/a renamed project"))?;
    changes.renamed += 1;
    changes.deleted += count(&folder(81))?;
    fs::remove_dir_all(folder(81))?;
    // A folder becomes a file, a file a folder, a link points elsewhere.
    changes.deleted += count(&folder(82))?;
    fs::remove_dir_all(folder(82))?;
    fs::write(folder(82), "closed\n")?;
    let turned = letter(83, 11);
    fs::remove_file(&turned)?;
    fs::create_dir(&turned)?;
    fs::write(turned.join("inside.txt"), "was a file\n")?;
    fs::remove_file(root.join("odd/link to a file"))?;
    symlink("secret.key", root.join("odd/link to a file"))?;
    changes.changed += 1;
    changes.added += 2;
    changes.deleted += 1;

    // A few bytes in the middle of the large file, and one inserted near its beginning.
    let mut large = fs::read(root.join(LARGE_FILE))?;
    let middle = large.len() / 2;
    large[middle..middle + 7].copy_from_slice(b"changed");
    large.insert(1000, b'!');
    fs::write(root.join(LARGE_FILE), large)?;
    let mut sparse = OpenOptions::new().write(true).open(root.join("odd/sparse.img"))?;
    sparse.seek(SeekFrom::Start(2 << 20))?;
    sparse.write_all(b"another island")?;
    changes.changed += 2;
    Ok(changes)
}

fn append(file: &PathBuf, text: &[u8]) -> Result<()> {
    Ok(OpenOptions::new().append(true).open(file)?.write_all(text)?)
}

fn count(folder: &Path) -> Result<u64> {
    Ok(u64::try_from(fs::read_dir(folder)?.count())?)
}

#[cfg(test)]
mod tests {
    use super::super::{fingerprint::TreeFingerprint, make};
    use super::*;

    #[tokio::test]
    async fn a_day_changes_the_folder_and_a_copy_aside_is_like_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("office");
        make::office(&root).unwrap();
        let first = TreeFingerprint::of(&root).unwrap();
        assert!(first.totals().files > 3000, "{}", first.totals().files);

        let aside = folder.path().join("aside");
        super::super::copy_aside(&root, &aside).await.unwrap();
        assert_eq!(
            TreeFingerprint::of(&aside).unwrap().differences(&first),
            Vec::<String>::new()
        );

        let changes = change(&root).unwrap();
        assert!(changes.deleted > 50 && changes.added > 10 && changes.renamed > 10);
        let differences = TreeFingerprint::of(&root).unwrap().differences(&first);
        assert!(differences.len() > 200, "{}", differences.len());
    }
}
