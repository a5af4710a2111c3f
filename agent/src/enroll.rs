//! Enrollment: this endpoint becomes an agent, sealing to the key whose fingerprint its administrator gave.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use repository::{
    commit::CommitVerifyingKey,
    identity::{AgentSigningKey, IdentityError},
    recovery::{Fingerprint, RecoveryKeyError, RecoveryPublicKey},
};
use shared::{
    api::agent::{BackupSetKeys, EnrollRequest, EnrollmentQuery},
    limits::Limit,
};
use zeroize::Zeroizing;

pub use crate::machine::hostname;
use crate::{
    client::{self, Client, ClientError},
    limit::Limits,
    random::{self, RandomError},
    state::{Config, Secret, State, StateError},
    storage::Hosts,
};

/// Why an endpoint does not enroll.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The server's key is not the one that was asked for.
    #[error(
        "the server offers the recovery key {offered}, but the command names {expected}. Nothing was stored. Either the command is for another backup set, or somebody swapped the key: do not go on before you know"
    )]
    Fingerprint {
        /// What the server offers.
        offered: Fingerprint,
        /// What the command names.
        expected: Fingerprint,
    },
    /// The server's key is none.
    #[error("the server's recovery key does not read: {0}")]
    Key(#[from] RecoveryKeyError),
    /// The server's key for commit records is none.
    #[error(
        "the server's key for commit records does not read ({0}): the token is used up, and nothing was stored"
    )]
    CommitKey(IdentityError),
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why no enrollment token was read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nothing came.
    #[error(
        "no enrollment token came: give it on standard input, as the command that the console shows does, or name its file \
         with --token-file"
    )]
    Missing,
    /// Something else came. It is not shown: it may be a secret of another kind.
    #[error(
        "the first line is no enrollment token: give the token that the console shows, on a line of its own"
    )]
    Malformed,
    /// It does not read.
    #[error("the enrollment token cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads an enrollment token: the first line, and no more than a token can have.
///
/// # Errors
/// See [`TokenError`].
pub fn read_token(from: impl Read) -> Result<Secret, TokenError> {
    let most = Limit::TokenText.max();
    // With room for the spaces and the line end of a paste.
    let mut line = Zeroizing::new(String::with_capacity(most + 64));
    let read = BufReader::new(from.take(most as u64 + 64)).read_line(&mut line);
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(TokenError::Malformed),
        Err(error) => return Err(error.into()),
    }
    let token = line.trim();
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > most || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Malformed);
    }
    Ok(token.to_owned().into())
}

// Promise: P6
/// The key of a backup set, if it is the one that this agent was enrolled with.
///
/// # Errors
/// When it is another: the server may not swap keys.
pub fn pinned_key(set: &BackupSetKeys, expected: Fingerprint) -> Result<RecoveryPublicKey, EnrollError> {
    let key = RecoveryPublicKey::from_hex_parts(&set.recovery_key.sealing, &set.recovery_key.certifying)?;
    let offered = key.fingerprint();
    if offered == expected {
        Ok(key)
    } else {
        Err(EnrollError::Fingerprint { offered, expected })
    }
}

/// Enrolls this endpoint. Looks at the token's offer first; on a wrong fingerprint nothing is sent and nothing
/// stored.
///
/// # Errors
/// When the fingerprint differs, the server refuses, or the state cannot be stored.
pub async fn enroll(
    folder: &Path,
    server: &str,
    token: &str,
    expected: Fingerprint,
) -> Result<State, EnrollError> {
    let client = Client::anonymous(server)?;
    let offer = client
        .enrollment(&EnrollmentQuery {
            token: token.to_owned(),
        })
        .await?;
    pinned_key(&offer.backup_set, expected)?;
    // Before the token is used up.
    let hosts = Hosts::offered(
        &offer.storage,
        &client::origin(server).map_err(ClientError::from)?,
    )
    .map_err(ClientError::from)?;
    State::prepare(folder)?;

    let seed = State::enrolling(folder, token)?;
    let enrolled = client
        .enroll(&EnrollRequest {
            token: token.to_owned(),
            hostname: hostname(),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            signing_key: AgentSigningKey::from_seed(*seed).public().to_hex(),
        })
        .await?;
    let commit_key = CommitVerifyingKey::from_hex(&enrolled.commit_key).map_err(EnrollError::CommitKey)?;
    let config = Config {
        server: server.trim_end_matches('/').to_owned(),
        agent_id: enrolled.agent_id,
        credential: enrolled.credential.into(),
        fingerprint: expected,
        commit_key: Some(commit_key),
        instance_id: data_encoding::HEXLOWER.encode(&random::bytes::<16>()?),
        limits: Limits::default(),
    };
    Hosts::keep(folder, hosts).map_err(ClientError::from)?;
    Ok(State::create(folder, config, &seed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_and_bounded() {
        for text in ["hfe_1_2_x", "  hfe_1_2_x \r\n", "hfe_1_2_x\nTOKEN\n"] {
            assert_eq!(
                read_token(text.as_bytes()).unwrap().reveal(),
                "hfe_1_2_x",
                "{text:?}"
            );
        }
        for nothing in ["", "\n", "   \n"] {
            assert!(
                matches!(read_token(nothing.as_bytes()), Err(TokenError::Missing)),
                "{nothing:?}"
            );
        }
        let long = "x".repeat(Limit::TokenText.max() + 1);
        for other in ["two words", "a\0b", "a\u{202e}b", &long] {
            let refused = read_token(other.as_bytes()).unwrap_err();
            assert!(matches!(refused, TokenError::Malformed), "{other:?}");
            assert!(!refused.to_string().contains(other), "{refused}");
        }
        assert!(matches!(read_token(&b"\xff\xfe"[..]), Err(TokenError::Malformed)));
        // What never ends is not read to its end.
        assert!(read_token(io::repeat(b'x')).is_err());
        assert_eq!(
            read_token("x".repeat(Limit::TokenText.max()).as_bytes())
                .unwrap()
                .reveal()
                .len(),
            200
        );
    }
}
