//! Files that only this user may read, written whole or not at all, under a name that was free before: no link is followed, and
//! no file that somebody else has put there is written into, whatever its mode.
//!
//! The agent (`agent/src/private_file.rs`) has a copy of this: neither binary depends on the other, and the crates that both use do no I/O, in the browser as well as
//! here. What is mended in one is mended in the other.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Puts a file of mode 0600 in the place of whatever has the name: of a link itself, not of what it points to. After a crash the
/// name stands for the old content or the new one.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = write_beside(path, bytes)?;
    fs::rename(&new, path)
        .inspect_err(|_| drop(fs::remove_file(&new)))
        .and_then(|()| sync_folder_of(path))
}

/// The same where nothing may have the name yet: of two processes that try, one is refused.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when something has the name; or what the system says.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let new = write_beside(path, bytes)?;
    let made = match fs::hard_link(&new, path) {
        // A file system without hard links. What took the name in the meantime would be replaced.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            fs::rename(&new, path)
        }
        made => made,
    };
    // Gone already where it was renamed.
    let _ = fs::remove_file(&new);
    made.and_then(|()| sync_folder_of(path))
}

/// Makes the folder of such files, for this user alone, unless it is there.
///
/// # Errors
/// What the system says.
pub fn folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_folder_of(path)
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // The system follows no link where the name must be free.
    let create = || {
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)
    };
    let mut file = match create() {
        // What a write that broke off left, or what somebody planted.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&new)?;
            create()?
        }
        created => created?,
    };
    let written = file
        .set_permissions(Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(new),
        Err(error) => {
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

/// A name is not on the disk before its folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => return Ok(()),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_planted_link_is_not_followed_and_a_foreign_mode_is_not_kept() {
        for planted in ["link", "file"] {
            let folder = tempfile::tempdir().unwrap();
            let victim = folder.path().join("victim");
            fs::write(&victim, b"victim").unwrap();
            fs::set_permissions(&victim, Permissions::from_mode(0o666)).unwrap();
            let path = folder.path().join("secret");
            for name in ["secret", "secret.new"] {
                let at = folder.path().join(name);
                if planted == "link" {
                    symlink(&victim, at).unwrap();
                } else {
                    fs::hard_link(&victim, at).unwrap();
                }
            }
            replace(&path, b"hush").unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"victim", "{planted}");
            assert_eq!(
                (fs::read(&path).unwrap().as_slice(), mode(&path)),
                (&b"hush"[..], 0o600)
            );
            assert_ne!(
                fs::metadata(&path).unwrap().ino(),
                fs::metadata(&victim).unwrap().ino()
            );
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn what_is_created_replaces_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let data = outer.path().join("a/data");
        folder(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        let path = data.join("key");
        create(&path, b"first").unwrap();
        assert_eq!(
            create(&path, b"second").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"first"[..], 0o600)
        );
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
        let link = data.join("link");
        symlink(data.join("nowhere"), &link).unwrap();
        assert_eq!(create(&link, b"x").unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
