//! What is mounted, by the kernel's own list (proc_pid_mountinfo(5)).

use std::{
    collections::{HashMap, HashSet},
    fs, io,
};

use rustix::fs::makedev;

use crate::platform::FileSystemKind;

pub(super) const LIST: &str = "/proc/self/mountinfo";

/// File systems that the kernel makes up: what is in them is its state, and no file.
const KERNEL: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

/// File systems that show what other folders hold once more.
const MERGED: &[&str] = &["aufs", "fuse.fuse-overlayfs", "overlay"];
/// Parts of the paths at which the file systems of running containers are mounted. Others, such as an overlay at `/etc`, are all that
/// shows their files.
const CONTAINER_STORES: &[&str] = &[
    "/containerd/",
    "/containers/storage/",
    "/docker/",
    "/kubelet/",
    "/podman/",
];

/// File systems of other machines.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fuse.ceph-fuse",
    "fuse.cephfs",
    "fuse.curlftpfs",
    "fuse.davfs2",
    "fuse.gcsfuse",
    "fuse.geesefs",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.juicefs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.seaweedfs",
    "fuse.smbnetfs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "orangefs",
    "pvfs2",
    "smb3",
    "smbfs",
];

/// What is mounted, at the moment of the call.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// Type by device number, and whether it is mounted below a store of containers.
    types: HashMap<u64, (String, bool)>,
    /// Where the first one to enter would have something mounted, as bytes of absolute paths.
    triggers: HashSet<Vec<u8>>,
    /// Where file systems of other machines are mounted, likewise, and their types.
    network: HashMap<Vec<u8>, String>,
}

impl Mounts {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub(crate) fn read() -> io::Result<Self> {
        fs::read(LIST).map(|list| Self::parse(&list))
    }

    /// Lines that are not understood are passed over.
    pub(crate) fn parse(list: &[u8]) -> Self {
        let mut mounts = Self::default();
        for line in list.split(|byte| *byte == b'\n') {
            // `24 27 0:6 / /dev rw,relatime shared:2 - devtmpfs devtmpfs rw`
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            let dash = fields.iter().position(|field| *field == b"-");
            let name = dash.and_then(|dash| std::str::from_utf8(fields.get(dash + 1)?).ok());
            let (Some(device), Some(name), Some(path)) =
                (fields.get(2).and_then(|field| device(field)), name, fields.get(4))
            else {
                continue;
            };
            let path = unescaped(path);
            let text = String::from_utf8_lossy(&path);
            let is_container = CONTAINER_STORES.iter().any(|store| text.contains(store));
            mounts.types.insert(device, (name.to_owned(), is_container));
            // What is mounted over another hides it.
            mounts.triggers.remove(&path);
            mounts.network.remove(&path);
            if name == "autofs" {
                mounts.triggers.insert(path);
            } else if NETWORK.contains(&name) {
                mounts.network.insert(path, name.to_owned());
            }
        }
        mounts
    }

    /// The file system with this device number, and its type. One that is not listed, such as a subvolume of Btrfs, is on a disk.
    pub(crate) fn file_system(&self, device: u64) -> (FileSystemKind, &str) {
        let (name, is_container) = self
            .types
            .get(&device)
            .map_or(("", false), |(name, is_container)| (name.as_str(), *is_container));
        let kind = if KERNEL.contains(&name) {
            FileSystemKind::Kernel
        } else if is_container && MERGED.contains(&name) {
            FileSystemKind::Merged
        } else if NETWORK.contains(&name) {
            FileSystemKind::Network
        } else {
            FileSystemKind::Disk
        };
        (kind, name)
    }

    /// Whether there are folders that are better not entered at all.
    pub(crate) fn has_points(&self) -> bool {
        !self.triggers.is_empty() || !self.network.is_empty()
    }

    /// The type of the file system of another machine that is mounted at this absolute path, links resolved.
    pub(crate) fn network_at(&self, path: &[u8]) -> Option<&str> {
        self.network.get(path).map(String::as_str)
    }

    /// Whether entering the folder with this absolute path, links resolved, would have something mounted.
    pub(crate) fn is_trigger(&self, path: &[u8]) -> bool {
        self.triggers.contains(path)
    }
}

/// `major:minor`
pub(super) fn device(field: &[u8]) -> Option<u64> {
    let (major, minor) = std::str::from_utf8(field).ok()?.split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Space, tab, newline and backslash stand there as `\040` and the like.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| byte == b'\\');
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(code) => {
                path.push(code);
                rest = &behind[3..];
            }
            None => {
                path.push(byte);
                rest = behind;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_triggers_are_read_from_the_kernels_list() {
        let list = b"22 27 0:21 / /proc rw,relatime shared:5 master:1 - proc proc rw\n\
            27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
            40 27 0:44 / /mnt/my\\040nas rw - nfs4 nas:/export rw\n\
            45 27 0:49 / /etc rw - overlay overlay rw,lowerdir=/l\n\
            41 27 0:45 / /var/lib/docker/overlay2/ab/merged rw - overlay overlay rw,lowerdir=/l\n\
            42 27 0:46 / /net/on rw - autofs /etc/auto.net rw,direct\n\
            43 42 0:47 / /net/on rw - cifs //nas/on rw\n\
            44 27 0:48 / /net/off\\134 rw - autofs /etc/auto.net rw,direct\n\
            not a line\n\n";
        let mounts = Mounts::parse(list);
        for (major, minor, kind, name) in [
            (0, 21, FileSystemKind::Kernel, "proc"),
            (254, 0, FileSystemKind::Disk, "ext4"),
            (0, 44, FileSystemKind::Network, "nfs4"),
            (0, 45, FileSystemKind::Merged, "overlay"),
            (0, 49, FileSystemKind::Disk, "overlay"),
            (0, 47, FileSystemKind::Network, "cifs"),
            (0, 99, FileSystemKind::Disk, ""),
        ] {
            assert_eq!(mounts.file_system(makedev(major, minor)), (kind, name));
        }
        assert!(mounts.has_points() && mounts.is_trigger(b"/net/off\\"));
        assert_eq!(mounts.network_at(b"/mnt/my nas"), Some("nfs4"));
        assert_eq!(
            (mounts.network_at(b"/net/on"), mounts.network_at(b"/")),
            (Some("cifs"), None)
        );
        assert!(!mounts.is_trigger(b"/net/on") && !mounts.is_trigger(b"/mnt/my nas"));
    }
}
