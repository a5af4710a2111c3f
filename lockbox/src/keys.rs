//! Who may sign requests.

use std::collections::HashMap;
use std::fmt;

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use crate::config::Credentials;

/// The secret key of each access key. (s3s' `SimpleAuth` answers an unknown key with `NotSignedUp`,
/// AWS with `InvalidAccessKeyId`.)
pub(crate) struct Keys(HashMap<String, SecretKey>);

impl Keys {
    pub(crate) fn new(credentials: &[Credentials]) -> Self {
        let pair = |c: &Credentials| (c.access_key.clone(), c.secret_key.clone().into());
        Self(credentials.iter().map(pair).collect())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0.get(access_key).cloned().ok_or_else(|| {
            s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )
        })
    }
}
