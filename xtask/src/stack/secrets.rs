//! Passwords and keys of a stack, made once.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// They are kept in the data folder, readable by its owner alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// The operator's e-mail address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// The root access key of the S3 endpoint.
    pub s3_access_key: String,
    /// Its secret.
    pub s3_secret_key: String,
    /// Postgres' superuser and the database's owner.
    pub postgres_password: String,
}

impl Secrets {
    /// New ones.
    pub fn make() -> Result<Self> {
        Ok(Self {
            email: "operator@holdfast.example".to_owned(),
            password: format!("{}-{}-{}", random(3)?, random(3)?, random(3)?),
            s3_access_key: format!("ROOT{}", random(8)?.to_uppercase()),
            s3_secret_key: random(20)?,
            postgres_password: random(16)?,
        })
    }
}

/// Random bytes in hexadecimal.
pub fn random(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).context("no random numbers")?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}
