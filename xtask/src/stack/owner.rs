//! Postgres refuses to run as root, so root lends its files to an unprivileged user, and a place for them must
//! be found that this user can reach.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// Whom the database's files belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The user who runs xtask.
    Caller,
    /// Another one, since root runs xtask.
    User {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Owner {
    /// `postgres` when there is such a user, else `nobody`; only root needs either.
    pub fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Caller);
        }
        let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| find_user(&users, name))
            .map(|(uid, gid)| Self::User { uid, gid })
            .context("Postgres does not run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// Makes a program run as this user.
    pub fn apply(self, command: &mut Command) {
        if let Self::User { uid, gid } = self {
            // A new user may be unable to enter the current folder, which initdb minds.
            command.uid(uid).gid(gid).current_dir("/");
        }
    }

    /// Gives a file or folder to this user.
    pub fn give(self, path: &Path) -> Result<()> {
        if let Self::User { uid, gid } = self {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Whether this user can enter a folder, and those above it.
    fn reaches(self, folder: &Path) -> bool {
        let Self::User { uid, gid } = self else {
            return true;
        };
        folder.ancestors().all(|part| {
            fs::metadata(part).is_ok_and(|meta| {
                let bit = if meta.uid() == uid {
                    0o100
                } else if meta.gid() == gid {
                    0o010
                } else {
                    0o001
                };
                meta.permissions().mode() & bit != 0
            })
        })
    }

    /// Where the database of a data folder goes: into it, or where this user can reach it.
    pub fn place(self, folder: &Path) -> Result<PathBuf> {
        let folder = folder.canonicalize()?;
        let place = if self.reaches(&folder) {
            folder.join("postgres")
        } else {
            let name = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex();
            PathBuf::from(format!("/var/tmp/holdfast-{}", &name[..12]))
        };
        Ok(place)
    }
}

fn find_user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() > 3 && fields[0] == name)
            .then(|| Some((fields[2].parse().ok()?, fields[3].parse().ok()?)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:9:9::/:/bin/sh\npostgres:x:104:112:,,,:/:/bin/sh\n";
        assert_eq!(find_user(passwd, "postgres"), Some((104, 112)));
        assert_eq!(find_user(passwd, "nobody"), None);
    }

    #[test]
    fn a_folder_that_the_owner_cannot_enter_is_not_used() {
        let folder = tempfile::Builder::new()
            .prefix("holdfast-owner-")
            .tempdir()
            .unwrap();
        let inner = folder.path().join("data");
        fs::create_dir(&inner).unwrap();
        let stranger = Owner::User {
            uid: 65_533,
            gid: 65_533,
        };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(stranger.place(&inner).unwrap().starts_with("/var/tmp"));
        assert!(Owner::Caller.place(&inner).unwrap().ends_with("data/postgres"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o711)).unwrap();
        assert!(stranger.place(&inner).unwrap().ends_with("data/postgres"));
    }
}
