//! The files that are backed up.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use crate::{files::random::Random, say};

/// What to back up.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum DataSet {
    /// A copy of a system's tree
    System,
    /// One file of 4 GiB, half of it text
    Large,
    /// A million files of some ten bytes (see `--tiny-files`)
    Tiny,
}

impl std::fmt::Display for DataSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Large => "large",
            Self::Tiny => "tiny",
        })
    }
}

/// The part of the large file that is made at a time.
const PIECE: u64 = 16 << 20;

impl DataSet {
    /// Makes the files; gives their number and size.
    pub async fn make(self, system: &Path, tiny_files: u64, to: &Path) -> Result<String> {
        match self {
            Self::System => crate::files::copy_aside(system, to).await?,
            Self::Large => large(to)?,
            Self::Tiny => tiny(tiny_files, to)?,
        }
        let (mut files, mut bytes) = (0, 0);
        for entry in WalkDir::new(to) {
            let entry = entry?;
            if entry.file_type().is_file() {
                files += 1;
                bytes += entry.metadata()?.len();
            }
        }
        Ok(format!(
            "{}, {}",
            say::count(files, "file", "files"),
            say::bytes(bytes)
        ))
    }
}

fn large(to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut file = File::create(to.join("disk.img"))?;
    let mut random = Random::new("large file");
    for piece in 0..(4 << 30) / PIECE {
        let bytes = if piece % 2 == 0 {
            random.bytes(PIECE)
        } else {
            random.text(PIECE)
        };
        file.write_all(&bytes)?;
    }
    Ok(())
}

fn tiny(count: u64, to: &Path) -> Result<()> {
    for number in 0..count {
        let folder = to.join(format!("{:02}/{:03}", number / 1_000 % 20, number / 1_000));
        if number % 1_000 == 0 {
            fs::create_dir_all(&folder)?;
        }
        let file = folder.join(format!("{:03}.txt", number % 1_000));
        fs::write(&file, format!("{number} {}", file.display()))?;
    }
    Ok(())
}

/// Every hundredth file grows a little; the large file is changed inside, in every hundredth part. `number` makes each
/// change another one.
pub fn change(root: &Path, number: u64) -> Result<()> {
    for (path, len) in chosen(root)? {
        let mut file = OpenOptions::new().write(true).open(&path)?;
        if len > 1 << 30 {
            let mut random = Random::new(&format!("change {number}"));
            for place in (0..len).step_by(100 << 20) {
                file.seek(SeekFrom::Start(place))?;
                file.write_all(&random.bytes(1 << 20))?;
            }
        } else {
            file.seek(SeekFrom::End(0))?;
            file.write_all(format!("\nchange {number} of the benchmark\n").as_bytes())?;
        }
    }
    Ok(())
}

/// Every hundredth file that can be changed and has but one name.
fn chosen(root: &Path) -> Result<Vec<(std::path::PathBuf, u64)>> {
    let mut chosen = Vec::new();
    let mut files = 0_u64;
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry?;
        let meta = entry.metadata()?;
        if entry.file_type().is_file() && meta.nlink() == 1 {
            if files.is_multiple_of(100) {
                chosen.push((entry.into_path(), meta.len()));
            }
            files += 1;
        }
    }
    Ok(chosen)
}

/// Whether two trees hold the same names, types, modes, times and contents.
pub fn same(left: &Path, right: &Path) -> Result<bool> {
    let mut others = WalkDir::new(right).sort_by_file_name().into_iter();
    for entry in WalkDir::new(left).sort_by_file_name() {
        let entry = entry?;
        let Some(other) = others.next() else {
            return Ok(false);
        };
        let other = other.with_context(|| right.display().to_string())?;
        let (a, b) = (entry.metadata()?, other.metadata()?);
        let alike = entry.path().strip_prefix(left)? == other.path().strip_prefix(right)?
            && a.mode() == b.mode()
            && (a.is_symlink() || a.mtime() == b.mtime())
            && (!a.is_file() || (a.len() == b.len() && same_contents(entry.path(), other.path())?));
        if !alike && entry.depth() > 0 {
            println!("    differs: {}", other.path().display());
            return Ok(false);
        }
    }
    Ok(others.next().is_none())
}

fn same_contents(left: &Path, right: &Path) -> Result<bool> {
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = left.read(&mut a)?;
        if read == 0 {
            return Ok(right.read(&mut b)? == 0);
        }
        right.read_exact(&mut b[..read])?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}
