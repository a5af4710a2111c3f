//! Making a recovery kit, offline.

use std::{
    io,
    path::{Path, PathBuf},
};

use repository::{
    kit::{Kit, KitError},
    recovery::{RecoveryPublicKey, RecoverySeed},
};

use crate::{
    clock, private_file,
    random::{self, RandomError},
};

/// No kit is longer.
const MAX_KIT_BYTES: usize = 64 * 1024;

/// Why a kit cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// The file exists.
    #[error(
        "{0} exists: a recovery kit is never overwritten, since the old key may still be the only way to old backups"
    )]
    Exists(PathBuf),
    /// The file cannot be written or read.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is not a kit.
    #[error("{path}: {error}")]
    Kit {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: KitError,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Makes a kit of mode 0600 at `out` and gives its public key.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn keygen(out: &Path) -> Result<RecoveryPublicKey, KeygenError> {
    let io_error = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeygenError::Exists(out.to_owned()),
        _ => KeygenError::Io {
            path: out.to_owned(),
            error,
        },
    };
    let seed = RecoverySeed::from_bytes(random::bytes()?);
    let label = crate::enroll::hostname();
    let kit = Kit::new(seed, format!("made on {label}"), Some(clock::now()));
    private_file::create(out, kit.to_text().as_bytes()).map_err(io_error)?;
    Ok(kit.secret().public().clone())
}

/// Reads a kit.
///
/// # Errors
/// When the file does not read or is no kit.
pub fn read_kit(path: &Path) -> Result<Kit, KeygenError> {
    let text = private_file::read_text_bounded(path, MAX_KIT_BYTES)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| KeygenError::Io {
            path: path.to_owned(),
            error,
        })?;
    Kit::parse(&text).map_err(|error| KeygenError::Kit {
        path: path.to_owned(),
        error,
    })
}
