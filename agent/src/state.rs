//! The agent's state folder (mode 0700): who it is, its keys, and a cache per source. Nothing in it opens a pack.
//!
//! ```text
//! agent.json              server, agent id, credential, the recovery key's fingerprint, the server's commit key,
//!                         instance id, limits
//! signing-key             Ed25519 seed, hexadecimal
//! enrolling               the same, and for which token, while an enrollment has had no answer
//! storage-hosts           where this agent sends to and fetches from, and nowhere else
//! lock                    held by one backup at a time
//! sources/<uuid>/secret   32 bytes, hexadecimal: chunk ids, cut points, index key
//! sources/<uuid>/cache    redb: what is in the bucket, and what the files looked like
//! sources/<uuid>/journal  what a run has sent, until its snapshot is complete
//! sources/<uuid>/commit   what a run commits, until the server has said how it ended
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use repository::{
    chunk::SourceSecret, commit::CommitVerifyingKey, identity::AgentSigningKey, recovery::Fingerprint,
};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use shared::ids::{AgentId, SourceId};
use zeroize::Zeroizing;

use crate::{
    client::{self, ClientError},
    limit::Limits,
    private_file,
    random::{self, RandomError},
    storage::Hosts,
};

/// Where the state is when nothing else is said.
pub const DEFAULT_FOLDER: &str = "/var/lib/holdfast-agent";

const CONFIG: &str = "agent.json";
const SIGNING_KEY: &str = "signing-key";
const ENROLLING: &str = "enrolling";
const SOURCES: &str = "sources";
/// No file of keys or settings is longer.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// What can be wrong with the state folder.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Nothing enrolled here.
    #[error(
        "{0} holds no enrolled agent: run `holdfast-agent enroll` with the command that the console shows"
    )]
    NotEnrolled(PathBuf),
    /// Something enrolled here already.
    #[error("{0} holds an enrolled agent already: choose another folder with --state, or remove this one")]
    AlreadyEnrolled(PathBuf),
    /// A file does not hold what it should.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another process holds the lock.
    #[error("another backup of this agent is under way ({0} is locked)")]
    Locked(PathBuf),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// What enrollment left behind.
#[derive(Clone, Serialize, Deserialize)]
pub struct Config {
    /// The server's address.
    pub server: String,
    /// This agent.
    pub agent_id: AgentId,
    /// The bearer credential.
    pub credential: Secret,
    /// The recovery key that this agent seals to, and no other.
    pub fingerprint: Fingerprint,
    /// The server's key for commit records, as it was at enrollment. Agents that were enrolled before servers handed it
    /// out have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_key: Option<CommitVerifyingKey>,
    /// Distinguishes this state from a copy that went its own way.
    pub instance_id: String,
    /// What it may use of the network, such as `"limits": {"upload": "10 MiB/s"}`.
    #[serde(default)]
    pub limits: Limits,
}

/// A secret text that wipes itself and does not print.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Secret {
    /// The text, to send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Config({} at {})", self.agent_id, self.server)
    }
}

/// An enrolled agent's state folder.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    config: Config,
}

impl State {
    /// Opens the state of an enrolled agent.
    ///
    /// # Errors
    /// When nothing is enrolled there or the files do not read.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join(CONFIG);
        let text = match private_file::read_text_bounded(&path, MAX_CONFIG_BYTES) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StateError::NotEnrolled(folder.to_owned()));
            }
            Err(error) => return Err(StateError::Io { path, error }),
        };
        let config = serde_json::from_str(&text).map_err(|error| StateError::Damaged {
            path,
            what: format!("line {}, column {}", error.line(), error.column()),
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            config,
        })
    }

    /// Refuses a folder that holds an agent, and makes sure that an enrollment could be stored, before the token
    /// is used up.
    ///
    /// # Errors
    /// When something is enrolled there or the folder cannot be made.
    pub fn prepare(folder: &Path) -> Result<(), StateError> {
        if folder.join(CONFIG).exists() {
            return Err(StateError::AlreadyEnrolled(folder.to_owned()));
        }
        make_private_folder(folder)?;
        let probe = folder.join(".probe");
        write_private(&probe, b"")?;
        fs::remove_file(&probe).map_err(|error| StateError::Io { path: probe, error })
    }

    /// The seed of the signing key that an enrollment with this token is asked for with: the same one when it is asked again after its
    /// answer was lost, so that the server knows the endpoint again. Written before it is used.
    ///
    /// # Errors
    /// When there is no randomness, or the file cannot be written.
    pub fn enrolling(folder: &Path, token: &str) -> Result<Zeroizing<[u8; 32]>, StateError> {
        let path = folder.join(ENROLLING);
        let of_token = blake3::derive_key("Holdfast 2026-12 token of an enrollment", token.as_bytes());
        let of_token = data_encoding::HEXLOWER.encode(&of_token);
        if let Ok(text) = private_file::read_text_bounded(&path, MAX_CONFIG_BYTES).map(Zeroizing::new)
            && let Some((for_token, seed)) = text.split_once(' ')
            && for_token == of_token
            && let Some(seed) = parse_seed(seed)
        {
            return Ok(seed);
        }
        let seed = Zeroizing::new(random::bytes::<32>()?);
        let text = Zeroizing::new(format!("{of_token} {}", data_encoding::HEXLOWER.encode(&*seed)));
        write_private(&path, text.as_bytes())?;
        Ok(seed)
    }

    /// Stores an enrollment.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(folder: &Path, config: Config, signing_seed: &[u8; 32]) -> Result<Self, StateError> {
        make_private_folder(folder)?;
        let key = Zeroizing::new(data_encoding::HEXLOWER.encode(signing_seed));
        write_private(&folder.join(SIGNING_KEY), key.as_bytes())?;
        // The configuration comes last: it is what makes the folder an agent's.
        let text = Zeroizing::new(serde_json::to_string_pretty(&config).unwrap_or_default());
        write_private(&folder.join(CONFIG), text.as_bytes())?;
        // It has its answer.
        let _ = fs::remove_file(folder.join(ENROLLING));
        Ok(Self {
            folder: folder.to_owned(),
            config,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What enrollment left behind.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The key that signs manifests.
    ///
    /// # Errors
    /// When the file does not read.
    pub fn signing_key(&self) -> Result<AgentSigningKey, StateError> {
        read_seed(&self.signing_key_path()).map(|seed| AgentSigningKey::from_seed(*seed))
    }

    /// The storage hosts that this agent knows.
    ///
    /// # Errors
    /// When the server's address is none that is spoken to, or the file does not read.
    pub fn hosts(&self) -> Result<Hosts, ClientError> {
        Ok(Hosts::open(&self.folder, &client::origin(&self.config.server)?)?)
    }

    /// Where that key is.
    #[must_use]
    pub fn signing_key_path(&self) -> PathBuf {
        self.folder.join(SIGNING_KEY)
    }

    /// The sources of which something is kept.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sources(&self) -> Result<Vec<SourceId>, StateError> {
        let path = self.folder.join(SOURCES);
        let names = match fs::read_dir(&path) {
            Ok(names) => names.collect::<Result<Vec<_>, _>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let names = names.map_err(|error| StateError::Io { path, error })?;
        let mut sources: Vec<SourceId> = names
            .iter()
            .filter_map(|name| {
                let name = name.file_name();
                format!("{}_{}", SourceId::PREFIX, name.to_str()?).parse().ok()
            })
            .collect();
        sources.sort_unstable();
        Ok(sources)
    }

    /// Where the secret of a source is.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn secret_path(&self, source: SourceId) -> Result<PathBuf, StateError> {
        Ok(self.source_folder(source)?.join("secret"))
    }

    /// The secret of a source, made at its first backup.
    ///
    /// # Errors
    /// When the file does not read or cannot be made.
    pub fn source_secret(&self, source: SourceId) -> Result<SourceSecret, StateError> {
        let path = self.secret_path(source)?;
        let missing = |path: &Path| match path.try_exists() {
            Ok(there) => Ok(!there),
            Err(error) => Err(StateError::Io {
                path: path.to_owned(),
                error,
            }),
        };
        if missing(&path)? {
            // A cache of the lost secret would have files reused under ids that the new one does not give.
            let cache = self.cache_path(source)?;
            if !missing(&cache)? {
                fs::remove_file(&cache).map_err(|error| StateError::Io { path: cache, error })?;
            }
            let fresh = Zeroizing::new(random::bytes::<32>()?);
            let text = Zeroizing::new(data_encoding::HEXLOWER.encode(fresh.as_ref()));
            write_private(&path, text.as_bytes())?;
        }
        read_seed(&path).map(|seed| SourceSecret::from_bytes(*seed))
    }

    /// Where a source's cache is.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn cache_path(&self, source: SourceId) -> Result<PathBuf, StateError> {
        Ok(self.source_folder(source)?.join("cache"))
    }

    /// Where a source's run notes what it sends.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn journal_path(&self, source: SourceId) -> Result<PathBuf, StateError> {
        Ok(self.source_folder(source)?.join("journal"))
    }

    /// Where a source's run keeps what it commits.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn commit_path(&self, source: SourceId) -> Result<PathBuf, StateError> {
        Ok(self.source_folder(source)?.join("commit"))
    }

    /// Takes the lock that a backup holds.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn lock(&self) -> Result<StateLock, StateError> {
        let path = self.folder.join("lock");
        let io_error = |error| StateError::Io {
            path: path.clone(),
            error,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => Ok(StateLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::Locked(path)),
            Err(fs::TryLockError::Error(error)) => Err(io_error(error)),
        }
    }

    fn source_folder(&self, source: SourceId) -> Result<PathBuf, StateError> {
        let folder = self
            .folder
            .join(SOURCES)
            .join(source.as_uuid().simple().to_string());
        make_private_folder(&folder)?;
        Ok(folder)
    }
}

/// Released when dropped, also by a crash.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

fn make_private_folder(folder: &Path) -> Result<(), StateError> {
    private_file::folder(folder).map_err(|error| StateError::Io {
        path: folder.to_owned(),
        error,
    })
}

/// Writes a file of mode 0600 whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    private_file::replace(path, bytes).map_err(|error| StateError::Io {
        path: path.to_owned(),
        error,
    })
}

fn read_seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, StateError> {
    let text = private_file::read_text_bounded(path, MAX_CONFIG_BYTES)
        .map(Zeroizing::new)
        .map_err(|error| StateError::Io {
            path: path.to_owned(),
            error,
        })?;
    parse_seed(&text).ok_or_else(|| StateError::Damaged {
        path: path.to_owned(),
        what: "expected 64 hexadecimal digits".to_owned(),
    })
}

fn parse_seed(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = data_encoding::HEXLOWER.decode(text.trim().as_bytes()).ok();
    bytes
        .map(Zeroizing::new)
        .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
        .map(Zeroizing::new)
}
