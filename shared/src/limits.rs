//! Every limit on what people and agents send, in one table: the server enforces it, forms and agents keep to it, and
//! docs/LIMITS.md is made of it. What is not named here is bounded by its type, as numbers and ids are.

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode characters.
    Characters,
    /// Bytes of UTF-8, or of a body.
    Bytes,
    /// 1,048,576 bytes.
    Mebibytes,
    /// Things.
    Items,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Characters => "characters",
            Self::Bytes => "bytes",
            Self::Mebibytes => "MiB",
            Self::Items => "",
            Self::Seconds => "seconds",
        }
    }
}

macro_rules! limits {
    ($($(#[$meta:meta])* $name:ident = $max:expr, $unit:ident, $what:literal, $place:literal;)*) => {
        /// A limit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Limit {
            $(#[doc = $what] $(#[$meta])* $name,)*
        }

        impl Limit {
            /// Every limit, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The largest value that is accepted.
            #[must_use]
            pub const fn max(self) -> usize {
                match self {
                    $(Self::$name => $max,)*
                }
            }

            /// What it counts.
            #[must_use]
            pub const fn unit(self) -> Unit {
                match self {
                    $(Self::$name => Unit::$unit,)*
                }
            }

            /// What it bounds.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)*
                }
            }

            /// Where it is enforced.
            #[must_use]
            pub const fn place(self) -> &'static str {
                match self {
                    $(Self::$name => $place,)*
                }
            }
        }
    };
}

limits! {
    Name = 100, Characters, "name of a customer, storage account, backup set or source; host name, system and version of an agent", "shared/src/input/text.rs";
    Email = 254, Bytes, "e-mail address at the sign-in (RFC 5321, 4.5.3.1.3); a longer one is nobody's", "server/src/use_cases/people/users.rs";
    Password = 1_024, Bytes, "password at the sign-in; a longer one is nobody's", "server/src/use_cases/people/users.rs";
    Endpoint = 300, Bytes, "address of a storage endpoint", "shared/src/input/storage.rs";
    Region = 64, Bytes, "region of a storage account", "shared/src/input/storage.rs";
    AccessKey = 256, Bytes, "access key of a storage account", "shared/src/input/storage.rs";
    SecretKey = 1_024, Bytes, "secret key of a storage account", "shared/src/input/storage.rs";
    Bucket = 255, Bytes, "name of a bucket (S3 itself allows 63 today, 255 for old ones)", "shared/src/input/storage.rs";
    Prefix = 200, Bytes, "prefix of a backup set", "shared/src/input/storage.rs";
    Tiers = 5, Items, "tiers of a policy, one a period", "server/src/use_cases/people/backup_sets.rs";
    RecoveryKey = 1_000, Bytes, "recovery public key as it is pasted", "server/src/use_cases/people/backup_sets.rs";
    TimeZone = 64, Bytes, "name of a time zone", "server/src/use_cases/people/backup_sets.rs, sources.rs";
    CronLine = 200, Bytes, "cron line of a schedule", "shared/src/schedule/cron.rs";
    Paths = 256, Items, "paths of a source", "shared/src/source_paths.rs";
    Path = 4_096, Bytes, "one path", "shared/src/source_paths.rs";
    Excludes = 256, Items, "patterns of what a source leaves out", "shared/src/source_paths.rs";
    Exclude = 1_024, Bytes, "one pattern", "shared/src/source_paths.rs";
    SourceText = 65_536, Bytes, "all paths and patterns of a source together", "shared/src/source_paths.rs";
    StorageAccounts = 100, Items, "storage accounts of a customer", "server/src/use_cases/people/storage_accounts.rs";
    BackupSets = 200, Items, "backup sets of a customer", "server/src/use_cases/people/backup_sets.rs";
    Agents = 2_000, Items, "agents of a customer", "server/src/use_cases/agents/enrollment.rs";
    OpenTokens = 200, Items, "enrollment tokens of a customer that can still be used", "server/src/use_cases/people/enrollment_tokens.rs";
    SourcesPerAgent = 64, Items, "sources of an agent", "server/src/use_cases/people/sources.rs";
    TypedText = 2_200, Bytes, "what a refused form brings back to its page in a sealed cookie; longer fields come back empty", "frontend/src/functions/form.rs";
    ListPage = 100, Items, "entries that one page of a list of snapshots, runs or restores has", "shared/src/api/list.rs";
    TokenText = 200, Bytes, "enrollment token as an agent sends it; a longer one is none", "server/src/scope/bearers.rs";
    ObjectsPerCall = 256, Items, "objects that one call asks to upload, or says to be lost", "server/src/use_cases/agents/uploads.rs, restores.rs";
    PartsPerCall = 256, Items, "parts of objects that one call asks to read; each is within its object", "server/src/use_cases/agents/reads.rs";
    LaterSnapshots = 8, Items, "later snapshots that a restore with lost objects may read as well", "server/src/use_cases/agents/restores.rs";
    RestoresPerPermission = 256, Items, "restores that are begun under one permission of 24 hours", "server/src/use_cases/agents/restores.rs";
    ObjectsPerAnswer = 4_096, Items, "objects that one answer names of what a snapshot needs", "server/src/use_cases/agents/uploads.rs";
    PackBytes = 33_554_432, Bytes, "a pack or tree pack", "shared/src/object.rs (signing, readers)";
    IndexBytes = 33_554_432, Bytes, "an index segment", "shared/src/object.rs (signing, readers)";
    ManifestBytes = 67_108_864, Bytes, "a manifest", "shared/src/object.rs (signing, readers)";
    ListPageBytes = 4_194_316, Bytes, "a page of an object list, with its frame", "shared/src/object.rs (signing, readers)";
    CommitRecordBytes = 65_612, Bytes, "a commit record, which only the server writes", "shared/src/object.rs (readers)";
    UnsentObjects = 1_024, Items, "objects of a source that addresses were signed for within an hour and that S3 does not show yet", "server/src/use_cases/agents/upload_budget.rs";
    UnsentMebibytes = 4_096, Mebibytes, "their size", "server/src/use_cases/agents/upload_budget.rs";
    UnsentMebibytesOfAgent = 16_384, Mebibytes, "the same, over all sources of an agent", "server/src/use_cases/agents/upload_budget.rs";
    UnsentMebibytesOfTenant = 1_048_576, Mebibytes, "the same, over all agents of a customer", "server/src/use_cases/agents/upload_budget.rs";
    Reason = 500, Characters, "why a run or a restore ended, in an agent's words; the rest is cut off", "server/src/use_cases/agents/runs.rs, restores.rs";
    Wait = 30, Seconds, "how long a call for work is held open; a longer wait is cut short", "server/src/http/agent_api.rs";
    ConnectionsPerAddress = 1_024, Items, "connections of one client address (of IPv6: a /64) by which nobody has signed in; the oldest that the server waits for makes room", "server/src/connections.rs";
    UnsignedConnections = 4_096, Items, "connections by which nobody has signed in, of all addresses together; likewise", "server/src/connections.rs";
    ConnectionsPerAgent = 32, Items, "connections of one agent; likewise, and when all are at work, one more request is answered 429", "server/src/connections.rs";
    ConnectionsPerSession = 128, Items, "connections of one session; likewise", "server/src/connections.rs";
    StreamsPerSession = 16, Items, "live streams of one session; the oldest ends", "server/src/live.rs";
    HeaderBytes = 32_768, Bytes, "line and headers of a request", "server/src/http/listener.rs";
    HeaderLines = 64, Items, "headers of a request", "server/src/http/listener.rs";
    HeadersWait = 15, Seconds, "until a request has come with all its headers, on a connection by which nobody has signed in", "server/src/http/listener.rs";
    IdleWait = 75, Seconds, "the same on connections of agents, sessions and trusted proxies, which stay open between requests", "server/src/http/listener.rs";
    BodyWait = 60, Seconds, "until a whole body has come", "server/src/http/body.rs";
    BodyPause = 15, Seconds, "between two pieces of a body", "server/src/http/body.rs";
    WriteWait = 30, Seconds, "until some more of an answer is taken", "server/src/http/stalled.rs";
    PasswordQueue = 16, Items, "passwords that wait to be checked: of known browsers, as many of addresses that have not guessed wrong within the hour, and as many of others; one more is answered 503", "server/src/sign_in/passwords.rs";
    SmallBody = 16_384, Bytes, "body of every call of the automation and the agent API that is not named below", "server/src/http/operations.rs, agent_api.rs";
    SourceBody = 131_072, Bytes, "body of the call that makes a source", "server/src/http/operations.rs";
    ObjectsBody = 131_072, Bytes, "body of the agent's calls that name objects to sign", "server/src/http/agent_api.rs";
    CommitBody = 65_536, Bytes, "body of the call that commits a run, with the totals of each path", "server/src/http/agent_api.rs";
    CommitPageBody = 524_288, Bytes, "body of a page of what a run commits", "server/src/http/agent_api.rs";
    FormBody = 262_144, Bytes, "body of a form of the console", "server/src/http/mod.rs, body.rs";
}

/// The limits as a table of docs/LIMITS.md.
#[must_use]
pub fn table() -> String {
    let rows = Limit::ALL.iter().map(|limit| {
        let max = limit.max();
        let max = match limit.unit() {
            Unit::Items => max.to_string(),
            unit => format!("{max} {}", unit.name()),
        };
        format!("| {limit:?} | {} | {max} | `{}` |\n", limit.what(), limit.place())
    });
    let head = "| limit | what it bounds | at most | enforced in |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_this_table() {
        let documented = include_str!("../../docs/LIMITS.md");
        assert!(
            documented.contains(&table()),
            "put this into docs/LIMITS.md:\n{}",
            table()
        );
    }
}
