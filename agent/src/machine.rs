//! Which machine this is, as the server is told with each call: by that it notices a copied state folder (`shared/src/machines.rs`).

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use reqwest::header::HeaderValue;
use shared::machines::Machine;

/// Changes with each boot, and is the same for all containers of a machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Of the installation; confidential, so it leaves only hashed (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// The header's value; `None` where it cannot be written.
pub(crate) fn header(instance_id: &str) -> Option<HeaderValue> {
    let machine = Machine {
        instance: instance_id.to_owned(),
        boot: hashed(BOOT_ID),
        machine: hashed(MACHINE_ID),
        hostname: hostname(),
    };
    let json = serde_json::to_vec(&machine).ok()?;
    HeaderValue::from_str(&BASE64URL_NOPAD.encode(&json)).ok()
}

/// The hash of a file's text; empty where there is none.
fn hashed(path: &str) -> String {
    let Ok(id) = std::fs::read_to_string(path) else {
        return String::new();
    };
    let hash = blake3::derive_key("Holdfast 2026-12 id of a machine or a boot", id.trim().as_bytes());
    HEXLOWER.encode(&hash[..16])
}

/// The endpoint's host name.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
