//! Which file system a path lies on, by a name that stays the same when the machine starts again.
//!
//! Device numbers do not: they are given out in the order in which disks are found. The UUID of a file system stays (udev shows it in
//! `/dev/disk/by-uuid`). What has none, such as a network share, is known by its type and its source (proc_pid_mountinfo(5)).

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt, path::Path};

use super::mounts;

const BY_UUID: &str = "/dev/disk/by-uuid";

/// The file systems that are mounted at the moment of the call.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    /// UUID by the number of the block device.
    uuids: HashMap<u64, Vec<u8>>,
    /// Type and source by device number.
    mounted: HashMap<u64, Vec<u8>>,
}

impl Volumes {
    /// Asks the kernel. What cannot be read names nothing.
    pub(crate) fn read() -> Self {
        let links = fs::read_dir(BY_UUID).into_iter().flatten().flatten();
        let uuids = links.filter_map(|link| {
            let device = fs::metadata(link.path()).ok()?.rdev();
            Some((device, link.file_name().into_encoded_bytes()))
        });
        Self {
            uuids: uuids.collect(),
            mounted: fs::read(mounts::LIST)
                .map(|list| sources(&list))
                .unwrap_or_default(),
        }
    }

    /// The name of the file system that a path lies on; `None` when that is not known.
    pub(crate) fn of(&self, path: &Path) -> Option<Vec<u8>> {
        let device = fs::metadata(path).ok()?.dev();
        self.uuids
            .get(&device)
            .or_else(|| self.mounted.get(&device))
            .cloned()
    }
}

/// Type and source of what is mounted, by device number.
fn sources(list: &[u8]) -> HashMap<u64, Vec<u8>> {
    let of_line = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        let (kind, source) = (fields.get(dash + 1)?, fields.get(dash + 2)?);
        Some((mounts::device(fields.get(2)?)?, [*kind, source].join(&b' ')))
    };
    list.split(|byte| *byte == b'\n').filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use rustix::fs::makedev;

    use super::*;

    #[test]
    fn a_file_system_is_known_by_its_uuid_or_else_by_its_source() {
        let list = b"27 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n\
            28 27 254:17 / /srv rw - xfs /dev/vdb1 rw\n\
            40 27 0:44 / /mnt/nas rw shared:3 - nfs4 nas:/export rw\n\
            not a line\n\n";
        let volumes = Volumes {
            uuids: HashMap::from([(makedev(254, 1), b"0f1e".to_vec())]),
            mounted: sources(list),
        };
        let name = |device| {
            let name = volumes
                .uuids
                .get(&device)
                .or_else(|| volumes.mounted.get(&device));
            name.map(|name| String::from_utf8(name.clone()).unwrap())
        };
        assert_eq!(name(makedev(254, 1)).as_deref(), Some("0f1e"));
        assert_eq!(name(makedev(254, 17)).as_deref(), Some("xfs /dev/vdb1"));
        assert_eq!(name(makedev(0, 44)).as_deref(), Some("nfs4 nas:/export"));
        assert_eq!(name(makedev(0, 45)), None);
        assert_eq!(Volumes::read().of(Path::new("/no/such/path")), None);
    }
}
