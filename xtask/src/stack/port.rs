//! TCP ports on this machine.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// Whether a port can be listened on.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port that nobody listens on.
pub fn any() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// The first free port from this one on.
pub fn from(first: u16) -> Result<u16> {
    (first..=first.saturating_add(100))
        .find(|port| is_free(*port))
        .with_context(|| format!("no free port between {first} and {}", first.saturating_add(100)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert!(from(port).unwrap() > port);
    }
}
