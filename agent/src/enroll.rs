//! Enrollment: this endpoint becomes an agent, sealing to the key whose fingerprint its administrator gave.

use std::path::Path;

use repository::{
    commit::CommitVerifyingKey,
    identity::{AgentSigningKey, IdentityError},
    recovery::{Fingerprint, RecoveryKeyError, RecoveryPublicKey},
};
use shared::api::agent::{BackupSetKeys, EnrollRequest, EnrollmentQuery};
use zeroize::Zeroizing;

use crate::{
    client::{Client, ClientError},
    limit::Limits,
    random::{self, RandomError},
    state::{Config, State, StateError},
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
    State::prepare(folder)?;

    let seed = Zeroizing::new(random::bytes::<32>()?);
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
    Ok(State::create(folder, config, &seed)?)
}

/// The endpoint's host name.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
