//! Ceph's programs.

use crate::sh;

/// Debian's packages that it is made from.
pub const PACKAGES: [&str; 4] = ["radosgw", "ceph-mon", "ceph-osd", "ceph-common"];
const PROGRAMS: [&str; 6] = [
    "radosgw",
    "radosgw-admin",
    "ceph",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
];

/// Whether it can be started on this machine.
pub fn is_installed() -> bool {
    PROGRAMS.iter().all(|program| sh::find(program).is_some())
}
