//! The machine's user database, through the C library: so names of a directory service are known like those in files.

use std::{ffi::CString, os::unix::ffi::OsStrExt as _};

use nix::unistd::{Gid, Group, Uid, User};

use crate::platform::UserDatabase;

/// What `getpwuid_r` and its like say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemUsers;

impl UserDatabase for SystemUsers {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        let found = User::from_uid(Uid::from_raw(id)).ok().flatten();
        found.map(|user| user.name.into_bytes())
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        let found = Group::from_gid(Gid::from_raw(id)).ok().flatten();
        found.map(|group| group.name.into_bytes())
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        let found = User::from_name(text(name)?).ok().flatten();
        found.map(|user| user.uid.as_raw())
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        let found = Group::from_name(text(name)?).ok().flatten();
        found.map(|group| group.gid.as_raw())
    }
}

/// The C library's names are text here; no account has another one.
fn text(name: &[u8]) -> Option<&str> {
    let plain = CString::new(name).is_ok() && !name.is_empty();
    let name = std::ffi::OsStr::from_bytes(name).to_str();
    name.filter(|_| plain)
}
