//! What the server's role may do: verb, table and columns. This is the one place that says so; [`statements`] makes the
//! database agree at each start.
//!
//! A table that is not here is out of reach, and a column that no statement of this module's siblings writes is not granted.
//! Rules about values are triggers (`migrations/src/sql/m0013_app_role.sql`). Whoever changes this table adds a migration
//! step as well: grants are made by the server that started last, and a step keeps an older one from starting.

/// Columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// None.
    None,
    /// All of them, those of later versions included.
    All,
    /// These.
    Only(&'static [&'static str]),
}

impl Columns {
    /// Whether a column is among them.
    #[cfg(test)]
    pub(super) fn has(self, column: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(columns) => columns.contains(&column),
        }
    }

    /// `GRANT verb (columns) ON table TO role`.
    fn grant(self, verb: &str, table: &str, role: &str) -> Option<String> {
        let columns = match self {
            Self::None => return None,
            Self::All => String::new(),
            Self::Only(columns) => format!(" ({})", columns.join(", ")),
        };
        Some(format!("GRANT {verb}{columns} ON public.{table} TO {role};"))
    }
}

/// What may be done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) table: &'static str,
    pub(super) select: Columns,
    pub(super) insert: Columns,
    pub(super) update: Columns,
    pub(super) delete: bool,
}

impl Grant {
    const fn none(table: &'static str) -> Self {
        Self {
            table,
            select: Columns::None,
            insert: Columns::None,
            update: Columns::None,
            delete: false,
        }
    }

    const fn read(table: &'static str) -> Self {
        Self {
            select: Columns::All,
            ..Self::none(table)
        }
    }

    /// Read, and add whole rows.
    const fn add(table: &'static str) -> Self {
        Self {
            insert: Columns::All,
            ..Self::read(table)
        }
    }

    const fn inserting(self, columns: &'static [&'static str]) -> Self {
        Self {
            insert: Columns::Only(columns),
            ..self
        }
    }

    const fn updating(self, columns: &'static [&'static str]) -> Self {
        Self {
            update: Columns::Only(columns),
            ..self
        }
    }

    const fn deleting(self) -> Self {
        Self { delete: true, ..self }
    }
}

/// Every table of the schema.
pub(super) const TABLES: &[Grant] = &[
    Grant::none("seaql_migrations"),
    Grant::none("server_key"),
    // People: the first operator comes by a function.
    Grant::read("users"),
    Grant::read("memberships"),
    Grant::add("sessions")
        .updating(&["user_id", "data", "expires_at", "proof"])
        .deleting(),
    Grant::read("server_epoch")
        .inserting(&["epoch"])
        .updating(&["epoch"]),
    Grant::read("instance_notices")
        .inserting(&["id", "kind", "found_at"])
        .updating(&["settled_at", "settled_by"]),
    Grant::add("tenants"),
    Grant::add("storage_accounts"),
    // No column of the policy, of the place or of the recovery key.
    Grant::add("backup_sets").updating(&[
        "inspection",
        "compliance_proven_at",
        "compliance_tried_at",
        "next_check_at",
    ]),
    Grant::add("enrollment_tokens").updating(&["used_at", "expires_at"]),
    Grant::add("agents").updating(&["last_seen_at", "machines"]),
    Grant::add("sources").updating(&["next_due", "newest_seq", "next_sweep_at", "lock_ahead_days"]),
    Grant::add("runs").updating(&[
        "state",
        "started_at",
        "deadline",
        "reported_at",
        "received_at",
        "finished_at",
        "progress",
        "confirmed",
        "to_confirm",
        "snapshot_id",
        "error",
        "refused_since",
        "refusals",
        "report",
        "not_before",
        "retries",
    ]),
    Grant::add("snapshots").updating(&[
        "state",
        "received_at",
        "protected_until",
        "mode",
        "manifest_hash",
        "manifest_bytes",
        "tiers",
        "sound",
        "judgement",
        "judged_at",
        "expired_at",
    ]),
    Grant::add("snapshot_paths").deleting(),
    // Row-level security lets no row go that is not `deleting`.
    Grant::add("objects")
        .updating(&[
            "kind",
            "size_bytes",
            "content_md5",
            "state",
            "run_id",
            "signed_until",
            "signed_at",
            "version_id",
            "lock_mode",
            "locked_until",
            "confirmed_at",
            "missing_since",
            "absent_askings",
            "absent_since",
            "absent_asked_at",
            "live_bytes",
            "add_again_since",
            "born",
            "dropped",
        ])
        .deleting(),
    Grant::add("spare_versions")
        .updating(&["locked_until", "deleting"])
        .deleting(),
    Grant::add("restores").updating(&["state", "finished_at", "progress", "error", "later_snapshots"]),
    Grant::read("sweeps")
        .inserting(&["tenant_id", "source_id", "began_at", "ended_at", "report"])
        .deleting(),
    Grant::read("bucket_checks")
        .inserting(&["tenant_id", "backup_set_id", "began_at", "ended_at", "report"])
        .deleting(),
    Grant::add("bucket_findings")
        .updating(&["needed", "detail", "last_seen_at"])
        .deleting(),
    Grant::add("commit_requests").deleting(),
    Grant::add("commit_pages").deleting(),
    Grant::add("set_sums").updating(&["seq", "content"]).deleting(),
    Grant::add("jobs")
        .updating(&["state", "run_at", "lease_until", "attempt", "last_error"])
        .deleting(),
    // Not its number, which the database gives; the time that is written is the database's all the same.
    Grant::read("audit_events").inserting(&["tenant_id", "at", "actor", "action", "subject", "detail"]),
];

/// Functions of the schema that the role may call: those of row-level security, and those that act as the owner.
pub(super) const FUNCTIONS: &[&str] = &[
    "app_tenant()",
    "app_user()",
    "app_instance()",
    "app_first_operator(uuid, text, text, timestamptz)",
    "app_key_credential(uuid, bytea)",
    "app_key_token(uuid, bytea)",
];

/// The statements that make the database agree with [`TABLES`] and [`FUNCTIONS`]: everything is taken away, also what older
/// versions gave, and what is here is given. Both names are quoted. In one transaction: a server at work is never without.
pub(super) fn statements(database: &str, role: &str) -> String {
    let mut statements = vec![
        // A temporary table goes before one of the same name: whoever made one in a connection of the pool would be asked who
        // people are.
        format!("REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {role};"),
        // Column by column, too: the database takes those away together with the table's.
        format!("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {role};"),
        format!("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, {role};"),
        format!("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {role};"),
        format!("REVOKE ALL ON SCHEMA public FROM {role};"),
        // Before Postgres 15 everybody could make tables and functions there.
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;".to_owned(),
        format!("GRANT USAGE ON SCHEMA public TO {role};"),
    ];
    for grant in TABLES {
        let table = grant.table;
        statements.extend(grant.select.grant("SELECT", table, role));
        statements.extend(grant.insert.grant("INSERT", table, role));
        statements.extend(grant.update.grant("UPDATE", table, role));
        if grant.delete {
            statements.push(format!("GRANT DELETE ON public.{table} TO {role};"));
        }
    }
    statements.extend(
        FUNCTIONS
            .iter()
            .map(|function| format!("GRANT EXECUTE ON FUNCTION public.{function} TO {role};")),
    );
    statements.join("\n")
}

#[cfg(test)]
mod tests;
