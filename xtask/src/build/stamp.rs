//! Whether inputs changed since the last build: a hash over their names and contents.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// A hash that is being made.
pub struct Stamp(blake3::Hasher);

impl Stamp {
    /// An empty one.
    pub fn new() -> Self {
        Self(blake3::Hasher::new())
    }

    /// Adds a word.
    pub fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// Adds a file, or a folder with all that is in it.
    pub fn tree(&mut self, path: &Path) -> Result<()> {
        for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(path)?;
                self.text(&name.to_string_lossy());
                let contents = fs::read(entry.path()).with_context(|| entry.path().display().to_string())?;
                self.0.update(&(contents.len() as u64).to_le_bytes());
                self.0.update(&contents);
            }
        }
        Ok(())
    }

    /// The hash, as text.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path) -> String {
        let mut stamp = Stamp::new();
        stamp.tree(folder).unwrap();
        stamp.finish()
    }

    #[test]
    fn a_changed_byte_and_a_moved_file_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "one").unwrap();
        let first = of(folder.path());
        assert_eq!(first, of(folder.path()));
        fs::write(folder.path().join("a"), "two").unwrap();
        let second = of(folder.path());
        assert_ne!(first, second);
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(second, of(folder.path()));
    }
}
