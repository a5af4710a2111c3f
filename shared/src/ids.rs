//! Identifiers: UUIDv7 newtypes that are written with a prefix, so that an id in a log, an address or a
//! support mail says what it names, and an agent's id can not be passed where a source's is meant.
//!
//! Ids are made by the server (the one place with a clock and a random source); this module only carries them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what} id: expected `{prefix}_` and 32 hexadecimal digits")]
pub struct ParseIdError {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident $prefix:literal $what:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore in the written form.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps the UUID that the database keeps.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID that the database keeps.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError {
                        text: text.chars().take(80).collect(),
                        what: $what,
                        prefix: $prefix,
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A customer of the managed service provider: the wall that no request crosses.
    TenantId "tnt" "tenant";
    /// A person who signs in.
    UserId "usr" "user";
    /// An S3 endpoint with its sealed keys.
    StorageAccountId "sta" "storage account";
    /// A bucket, prefix and policy that backups go to.
    BackupSetId "set" "backup set";
    /// An enrolled endpoint.
    AgentId "agt" "agent";
    /// Paths of an agent: the lineage whose snapshots share chunks.
    SourceId "src" "source";
    /// One attempt of a backup.
    RunId "run" "run";
    /// One point in time of one source.
    SnapshotId "snp" "snapshot";
    /// One authorised restore of one snapshot.
    RestoreId "rst" "restore";
    /// Something that the operators of the instance have to know.
    NoticeId "ntc" "notice";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_refuses_another_kind() {
        let id = AgentId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string(), "agt_01930000000070008000000000000001");
        assert_eq!(id.to_string().parse(), Ok(id));
        let error = id.to_string().parse::<SourceId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`agt_01930000000070008000000000000001` is not a source id: expected `src_` and 32 hexadecimal digits"
        );
        assert!("agt_0193".parse::<AgentId>().is_err());
        // The hyphenated form would give one id two spellings.
        assert!(
            "agt_01930000-0000-7000-8000-000000000001"
                .parse::<AgentId>()
                .is_err()
        );
    }
}
