//! Files and folders that only this user may read. A file is written whole or not at all, under a name that was free before:
//! no link is followed, and no file that somebody else has put there is written into, whatever its mode.
//!
//! The server (`server/src/secrets/private_file.rs`) has a copy of this: neither binary depends on the other, and the crates that both use do no I/O, in the browser as well as
//! here. What is mended in one is mended in the other.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags};

const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// Puts a file of mode 0600 in the place of whatever has the name: of a link itself, not of what it points to.
///
/// # Errors
/// What the system says. The name then stands for what it stood for before.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = write_beside(path, bytes)?;
    fs::rename(&new, path)
        .inspect_err(|_| drop(fs::remove_file(&new)))
        .and_then(|()| sync_folder_of(path))
}

/// The same where nothing may have the name yet.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when something has it; or what the system says.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
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

/// Reads a file up to a length, however long it says that it is.
///
/// # Errors
/// What the system says, or that it is longer.
pub(crate) fn read_bounded(path: &Path, limit_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit_bytes as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > limit_bytes {
        return Err(io::Error::other(format!("it is longer than {limit_bytes} bytes")));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// Also when it is no UTF-8.
pub(crate) fn read_text_bounded(path: &Path, limit_bytes: usize) -> io::Result<String> {
    String::from_utf8(read_bounded(path, limit_bytes)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not text"))
}

/// Makes a folder of mode 0700, or makes one of this user's private.
///
/// # Errors
/// When it is a link or another user's, or what the system says.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            return Err(io::Error::other(
                "it is a symbolic link: name the folder that it points to",
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(FOLDER).create(path)?;
            sync_folder_of(path)?;
        }
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&folder)?.st_uid;
    if owner != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "it belongs to another user, with id {owner}: run this as that user, or choose another folder"
        )));
    }
    Ok(rustix::fs::fchmod(&folder, Mode::from_raw_mode(FOLDER))?)
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
            .mode(FILE)
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
    let written = rustix::fs::fchmod(&file, Mode::from_raw_mode(FILE))
        .map_err(io::Error::from)
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
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// A victim outside, and a link to it under every name that a write of `secret` uses.
    fn planted(folder: &Path, also_in_place: bool) -> PathBuf {
        let victim = folder.join("victim");
        fs::write(&victim, b"victim").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o666)).unwrap();
        for name in ["secret.new", "secret.json.new", "secret"] {
            if name != "secret" || also_in_place {
                symlink(&victim, folder.join(name)).unwrap();
            }
        }
        victim
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        for also_in_place in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let victim = planted(folder.path(), also_in_place);
            let path = folder.path().join("secret");
            replace(&path, b"hush").unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"victim");
            assert_eq!(mode(&victim), 0o666);
            assert_eq!(
                (fs::read(&path).unwrap().as_slice(), mode(&path)),
                (&b"hush"[..], 0o600)
            );
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            assert!(!folder.path().join("secret.new").exists());
        }
    }

    /// A file that is there already is another's to read: the secret goes into a new one.
    #[test]
    fn a_foreign_mode_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for name in ["secret", "secret.new"] {
            let planted = folder.path().join(name);
            fs::write(&planted, b"").unwrap();
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o666)).unwrap();
        }
        // Whoever has them open reads nothing.
        let planted = ["secret", "secret.new"].map(|name| File::open(folder.path().join(name)).unwrap());
        replace(&path, b"hush").unwrap();
        assert_eq!(mode(&path), 0o600);
        for mut open in planted {
            assert_ne!(open.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
            let mut read = Vec::new();
            open.read_to_end(&mut read).unwrap();
            assert_eq!(read, b"");
        }
    }

    #[test]
    fn what_is_created_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kit");
        create(&path, b"first").unwrap();
        assert_eq!(
            create(&path, b"second").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"first"[..], 0o600)
        );
        // A link to nowhere has the name as well.
        let link = folder.path().join("link");
        symlink(folder.path().join("nowhere"), &link).unwrap();
        assert_eq!(create(&link, b"x").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(!folder.path().join("nowhere").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_is_made_private_and_never_through_a_link() {
        let outer = tempfile::tempdir().unwrap();
        let made = outer.path().join("a/b");
        folder(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
        folder(&made).unwrap();
        assert_eq!(mode(&made), 0o700);

        let victim = outer.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o755)).unwrap();
        let link = outer.path().join("link");
        symlink(&victim, &link).unwrap();
        let refused = folder(&link).unwrap_err();
        assert!(refused.to_string().contains("symbolic link"), "{refused}");
        assert_eq!(mode(&victim), 0o755);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&victim, Some(4711), None).unwrap();
            let refused = folder(&victim).unwrap_err();
            assert!(refused.to_string().contains("4711"), "{refused}");
        }
    }

    #[test]
    fn reading_ends_at_the_limit() {
        let refused = read_bounded(Path::new("/dev/zero"), 1_000).unwrap_err();
        assert!(refused.to_string().contains("1000 bytes"), "{refused}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_text_bounded(&path, 5).unwrap(), "12345");
        assert!(read_text_bounded(&path, 4).is_err());
    }
}
