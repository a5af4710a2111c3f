//! The credentials of a recovery: read access to the bucket, given by whoever recovers. They are kept in memory and never
//! shown.

use std::{io, path::Path, path::PathBuf};

use zeroize::Zeroizing;

use crate::{private_file, state::Secret};

/// No credentials file is longer.
const MAX_FILE_BYTES: usize = 1 << 20;

/// An access key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// The token of a temporary key.
    pub session_token: Option<Secret>,
}

/// Why a credentials file is no use.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It does not read.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Something is not in it.
    #[error(
        "{path} has no profile `{profile}` with `aws_access_key_id = …` and `aws_secret_access_key = …`; it is read like \
         the AWS tools' credentials file"
    )]
    Incomplete {
        /// Which file.
        path: PathBuf,
        /// Which profile.
        profile: String,
    },
}

impl AccessKey {
    /// Reads a profile of a credentials file as the AWS tools write it. Lines before the first `[profile]` belong to
    /// every profile.
    ///
    /// # Errors
    /// When the file does not read or the profile is not whole.
    pub fn read(path: &Path, profile: &str) -> Result<Self, CredentialsError> {
        let text = private_file::read_text_bounded(path, MAX_FILE_BYTES)
            .map(Zeroizing::new)
            .map_err(|error| CredentialsError::Io {
                path: path.to_owned(),
                error,
            })?;
        let mut here = true;
        let (mut id, mut secret, mut session_token) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                here = name.trim() == profile;
            } else if let (true, Some((name, value))) = (here, line.split_once('=')) {
                let value = value.trim().to_owned();
                match name.trim() {
                    "aws_access_key_id" => id = Some(value),
                    "aws_secret_access_key" => secret = Some(Secret::from(value)),
                    "aws_session_token" => session_token = Some(Secret::from(value)),
                    _ => {}
                }
            }
        }
        match (id, secret) {
            (Some(id), Some(secret)) => Ok(Self {
                id,
                secret,
                session_token,
            }),
            _ => Err(CredentialsError::Incomplete {
                path: path.to_owned(),
                profile: profile.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_profile_is_read_and_its_secret_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let text = "# mine\n[default]\naws_access_key_id = AKID\naws_secret_access_key=s3cr3t/=\n\n[other]\n\
                    aws_access_key_id=OTHER\naws_secret_access_key = x\naws_session_token = t\n";
        fs::write(&path, text).unwrap();
        let key = AccessKey::read(&path, "default").unwrap();
        assert_eq!((key.id.as_str(), key.secret.reveal()), ("AKID", "s3cr3t/="));
        assert!(key.session_token.is_none());
        assert!(!format!("{key:?}").contains("s3cr3t"));
        assert_eq!(AccessKey::read(&path, "other").unwrap().id, "OTHER");
        let error = AccessKey::read(&path, "third").unwrap_err();
        assert!(matches!(error, CredentialsError::Incomplete { .. }), "{error}");
    }
}
