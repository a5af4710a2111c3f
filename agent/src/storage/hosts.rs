//! The storage hosts that this agent speaks to. The server names an address for each object: one that is not at a known host is
//! refused, so that whoever has taken the server cannot lead backups elsewhere, nor have this endpoint speak to machines that
//! only it can reach.
//!
//! They are learnt at enrollment. An agent that has learnt none (it was enrolled before servers named them) learns the first
//! that it meets. Later ones are confirmed by a person on the endpoint. They are kept in the file `storage-hosts` of the state
//! folder, which is read again before a host is refused: a confirmation needs no restart.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::origin::{Origin, OriginError};
use crate::private_file;

const FILE: &str = "storage-hosts";
/// No honest list is longer.
const MAX_BYTES: usize = 64 * 1024;
/// Hosts that a server may name at enrollment: its backup set has one.
pub const MAX_OFFERED: usize = 16;

/// Why an address is not spoken to.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Whoever names it.
    #[error("the server names a storage address that is never spoken to: {0}")]
    Address(#[from] OriginError),
    /// Not a known one.
    #[error(
        "the server names the storage {origin}, which this agent does not know ({}). Nothing was sent there. If the backup \
         set's endpoint was changed on purpose, confirm it on this endpoint: `holdfast-agent trust-host {origin}`; if not, \
         somebody may be leading backups away",
        known_ones(known)
    )]
    Unknown {
        /// What the server names.
        origin: Origin,
        /// What is known.
        known: Vec<Origin>,
    },
    /// A storage on this endpoint itself, named by a server that is not.
    #[error(
        "the server names the storage {0}, which is on this endpoint itself. Nothing was sent there. If it belongs there, \
         confirm it on this endpoint: `holdfast-agent trust-host {0}`"
    )]
    Loopback(Origin),
    /// More than any server needs.
    #[error("the server names {0} storage hosts for one backup set: that is no honest answer")]
    TooMany(usize),
    /// The file.
    #[error("the list of known storage hosts, {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

fn known_ones(known: &[Origin]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = known.iter().take(SHOWN).map(Origin::to_string).collect();
    if known.is_empty() {
        return "it knows none".to_owned();
    }
    if known.len() > SHOWN {
        names.push(format!("and {} more", known.len() - SHOWN));
    }
    format!("it knows {}", names.join(", "))
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    hosts: BTreeSet<Origin>,
}

/// The known hosts of an agent.
#[derive(Debug)]
pub struct Hosts {
    path: PathBuf,
    /// Whether the server is on this machine: then its storage may be.
    server_is_local: bool,
    known: Mutex<BTreeSet<Origin>>,
    /// Held while the first host is learnt.
    learning: Mutex<()>,
}

impl Hosts {
    /// Of the agent whose state is in this folder and whose server is there.
    ///
    /// # Errors
    /// When the file does not read.
    pub fn open(folder: &Path, server: &Origin) -> Result<Self, HostError> {
        let path = folder.join(FILE);
        let known = read(&path)?.unwrap_or_default();
        Ok(Self {
            path,
            server_is_local: server.is_loopback(),
            known: Mutex::new(known),
            learning: Mutex::default(),
        })
    }

    /// The ones that a server names at enrollment, if they may be learnt.
    ///
    /// # Errors
    /// When one is on this machine and the server is not, or there are too many.
    pub fn offered(offered: &[String], server: &Origin) -> Result<BTreeSet<Origin>, HostError> {
        if offered.len() > MAX_OFFERED {
            return Err(HostError::TooMany(offered.len()));
        }
        let hosts: BTreeSet<Origin> = offered
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        match hosts
            .iter()
            .find(|host| host.is_loopback() && !server.is_loopback())
        {
            Some(host) => Err(HostError::Loopback(host.clone())),
            None => Ok(hosts),
        }
    }

    /// Keeps what was learnt at enrollment. An empty list is not kept: the first host that is met is then learnt.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(folder: &Path, hosts: BTreeSet<Origin>) -> Result<(), HostError> {
        if hosts.is_empty() {
            return Ok(());
        }
        write(&folder.join(FILE), hosts)
    }

    /// The known ones.
    #[must_use]
    pub fn known(&self) -> Vec<Origin> {
        self.lock().iter().cloned().collect()
    }

    /// Adds one that a person on the endpoint has confirmed. Says whether it is new.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn trust(&self, origin: Origin) -> Result<bool, HostError> {
        self.change(|known| known.insert(origin))
    }

    /// Takes one away. Says whether it was there. When none is left, none is learnt by itself either.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn forget(&self, origin: &Origin) -> Result<bool, HostError> {
        self.change(|known| known.remove(origin))
    }

    // Promise: P5
    /// The address, parsed, if it is at a known host; or if none was ever learnt, and this one may be.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn admit(&self, address: &str) -> Result<Url, HostError> {
        let url = Url::parse(address)
            .map_err(|_| OriginError::NotAnAddress("(an address that does not parse)".to_owned()))?;
        let origin = Origin::of(&url)?;
        let is_known = self.lock().contains(&origin);
        if is_known {
            return Ok(url);
        }
        let is_first = self.read_again()?.is_none();
        if is_first && origin.is_loopback() && !self.server_is_local {
            return Err(HostError::Loopback(origin));
        }
        if is_first {
            self.learn(&origin)?;
        }
        // Another process may have learnt another one at the same moment: what is in the file counts.
        match self.read_again()? {
            Some(known) if known.contains(&origin) => Ok(url),
            known => Err(HostError::Unknown {
                origin,
                known: known.unwrap_or_default().into_iter().collect(),
            }),
        }
    }

    fn learn(&self, origin: &Origin) -> Result<(), HostError> {
        // Several uploads begin at once: they would take each other's unfinished file away.
        let _one = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = encode(BTreeSet::from([origin.clone()]));
        match private_file::create(&self.path, &bytes) {
            Ok(()) => {
                tracing::info!(%origin, "this agent had learnt no storage host: from now on it sends to this one alone");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<Origin>) -> T) -> Result<T, HostError> {
        let mut known = read(&self.path)?.unwrap_or_default();
        let done = change(&mut known);
        write(&self.path, known.clone())?;
        *self.lock() = known;
        Ok(done)
    }

    fn read_again(&self) -> Result<Option<BTreeSet<Origin>>, HostError> {
        let read = read(&self.path)?;
        if let Some(known) = &read {
            self.lock().clone_from(known);
        }
        Ok(read)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Origin>> {
        // The set is whole after every statement that changes it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Option<BTreeSet<Origin>>, HostError> {
    let bytes = match private_file::read_bounded(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
    };
    let listed: Listed = serde_json::from_slice(&bytes).map_err(|error| {
        let what = format!(
            "it does not read ({error}): put it back, or remove it, and confirm the storage's host with `holdfast-agent \
             trust-host`"
        );
        failed(path, io::Error::new(io::ErrorKind::InvalidData, what))
    })?;
    Ok(Some(listed.hosts))
}

fn write(path: &Path, hosts: BTreeSet<Origin>) -> Result<(), HostError> {
    private_file::replace(path, &encode(hosts)).map_err(|error| failed(path, error))
}

fn encode(hosts: BTreeSet<Origin>) -> Vec<u8> {
    serde_json::to_vec_pretty(&Listed { hosts }).unwrap_or_default()
}

fn failed(path: &Path, error: io::Error) -> HostError {
    HostError::File {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    const AWAY: &str = "https://backup.example.com";
    const HERE: &str = "http://127.0.0.1:8080";
    const ONE: &str = "https://s3.example.com";

    #[test]
    fn only_known_hosts_are_admitted() {
        let folder = tempfile::tempdir().unwrap();
        Hosts::keep(folder.path(), BTreeSet::from([origin(ONE)])).unwrap();
        let hosts = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        hosts
            .admit("https://s3.example.com/bucket/key?signature")
            .unwrap();
        for other in [
            "https://s3.example.com:8443/bucket/key",
            "https://s3.example.com.evil.example/bucket",
            "https://evil.example/s3.example.com",
            "https://bucket.s3.example.com/key",
        ] {
            let refused = hosts.admit(other).unwrap_err();
            assert!(matches!(refused, HostError::Unknown { .. }), "{other}: {refused}");
            let said = refused.to_string();
            assert!(
                said.contains("trust-host https://") && said.contains(ONE) && said.len() < 500,
                "{said}"
            );
        }
        for never in [
            "http://s3.example.com/",
            "https://s3.example.com@evil.example/",
            "https://user@s3.example.com/",
            "s3",
            "",
        ] {
            assert!(
                matches!(hosts.admit(never), Err(HostError::Address(_))),
                "{never}"
            );
        }
    }

    #[test]
    fn a_confirmation_counts_at_once_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        Hosts::keep(folder.path(), BTreeSet::from([origin(ONE)])).unwrap();
        let running = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        let other = "https://s3.other.example/bucket";
        assert!(running.admit(other).is_err());
        // By another process, as the command is.
        let command = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        assert!(command.trust(origin("s3.other.example")).unwrap());
        assert!(!command.trust(origin("s3.other.example")).unwrap());
        running.admit(other).unwrap();
        assert!(command.forget(&origin(ONE)).unwrap());
        assert!(command.forget(&origin("s3.other.example")).unwrap());
        // None is left: that is an answer, and none is learnt by itself.
        let later = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        assert!(matches!(later.admit(other), Err(HostError::Unknown { .. })));
    }

    #[test]
    fn the_first_host_is_learnt_once_and_never_this_machine_for_a_server_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        assert!(matches!(
            hosts.admit("http://127.0.0.1:6379/"),
            Err(HostError::Loopback(_))
        ));
        assert!(matches!(
            hosts.admit("https://localhost/"),
            Err(HostError::Loopback(_))
        ));
        assert_eq!(hosts.known(), []);
        hosts.admit("https://s3.example.com/bucket").unwrap();
        assert_eq!(hosts.known(), [origin(ONE)]);
        assert!(matches!(
            hosts.admit("https://evil.example/"),
            Err(HostError::Unknown { .. })
        ));
        let again = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        assert_eq!(again.known(), [origin(ONE)]);

        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::open(folder.path(), &origin(HERE)).unwrap();
        hosts.admit("http://127.0.0.1:9000/").unwrap();
    }

    /// Four uploads at a time, at the very first.
    #[test]
    fn uploads_that_begin_together_learn_one_host() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let hosts = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| hosts.admit("https://s3.example.com/bucket").unwrap());
                }
            });
            assert_eq!(hosts.known(), [origin(ONE)]);
        }
    }

    #[test]
    fn what_is_offered_is_bounded_and_judged() {
        let offer = |texts: &[&str], server: &str| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Hosts::offered(&texts, &origin(server))
        };
        assert_eq!(offer(&[ONE], AWAY).unwrap(), BTreeSet::from([origin(ONE)]));
        assert!(matches!(
            offer(&["http://10.0.0.5:9000"], AWAY),
            Err(HostError::Address(OriginError::NotHttps(_)))
        ));
        assert!(matches!(
            offer(&["http://127.0.0.1:9000"], AWAY),
            Err(HostError::Loopback(_))
        ));
        offer(&["http://127.0.0.1:9000"], HERE).unwrap();
        let many = vec![ONE; MAX_OFFERED + 1];
        assert!(matches!(offer(&many, AWAY), Err(HostError::TooMany(17))));
    }

    /// A list that does not read is not an empty one.
    #[test]
    fn a_damaged_list_admits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{").unwrap();
        let refused = Hosts::open(folder.path(), &origin(AWAY)).unwrap_err();
        assert!(refused.to_string().contains("trust-host"), "{refused}");
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        let hosts = Hosts::open(folder.path(), &origin(AWAY)).unwrap();
        std::fs::write(
            folder.path().join(FILE),
            br#"{"hosts": ["http://s3.example.com"]}"#,
        )
        .unwrap();
        assert!(hosts.admit("https://s3.example.com/").is_err());
    }
}
