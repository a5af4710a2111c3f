//! The order of row locks, one for the whole server, so that no two transactions wait for each other.
//!
//! 1. Rows that belong to no source: tenants, users, storage accounts, backup sets with their checks and findings, agents,
//!    enrollment tokens. A transaction that goes on to a source changes these first.
//! 2. The source's row, locked by [`Db::of_source`](super::Db::of_source) or [`sources::lock`](super::sources::lock).
//!    **One source a transaction.**
//! 3. What belongs to the source: runs, snapshots, objects, spare versions, restores, sweeps. They are changed by whoever
//!    holds the source's row, so their order among each other does not matter.
//! 4. Jobs.
//!
//! The audit log is only added to and waits for nobody. Rows are locked `FOR NO KEY UPDATE`: the foreign keys of new rows
//! (`FOR KEY SHARE` on their parents) wait for no such lock, so an INSERT locks no other row than its own.
//!
//! Builds with debug assertions watch each statement and note what is out of order ([`Order::statement`]); a test fails when
//! its server has noted anything. Should a deadlock come about all the same, the queue tries a job again, the next round a
//! round, and the agent its request. Nothing else is repeated.

use sea_orm::{Statement, Value};
use uuid::Uuid;

/// Where a table stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Unowned,
    Source,
    OfSource,
    Job,
}

/// Every table that is changed by transactions, and its rank; `None`: it is only added to.
const TABLES: &[(&str, Option<Rank>)] = &[
    ("tenants", Some(Rank::Unowned)),
    ("users", Some(Rank::Unowned)),
    ("sessions", Some(Rank::Unowned)),
    ("memberships", Some(Rank::Unowned)),
    ("storage_accounts", Some(Rank::Unowned)),
    ("backup_sets", Some(Rank::Unowned)),
    ("bucket_checks", Some(Rank::Unowned)),
    ("bucket_findings", Some(Rank::Unowned)),
    ("enrollment_tokens", Some(Rank::Unowned)),
    ("agents", Some(Rank::Unowned)),
    ("server_epoch", Some(Rank::Unowned)),
    ("instance_notices", Some(Rank::Unowned)),
    ("server_key", None),
    ("sources", Some(Rank::Source)),
    ("runs", Some(Rank::OfSource)),
    ("snapshots", Some(Rank::OfSource)),
    ("snapshot_paths", Some(Rank::OfSource)),
    ("objects", Some(Rank::OfSource)),
    ("spare_versions", Some(Rank::OfSource)),
    ("restores", Some(Rank::OfSource)),
    ("sweeps", Some(Rank::OfSource)),
    ("commit_pages", Some(Rank::OfSource)),
    ("commit_requests", Some(Rank::OfSource)),
    ("set_sums", Some(Rank::OfSource)),
    ("jobs", Some(Rank::Job)),
    ("audit_events", None),
];

/// The tables that have a place in the order.
pub fn ordered_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(name, _)| *name)
}

/// What one transaction has locked so far.
#[derive(Debug, Default)]
pub(super) struct Order {
    reached: Option<Rank>,
    source: Option<Uuid>,
}

impl Order {
    /// Takes note of a statement.
    ///
    /// # Errors
    /// With what is out of order, when it locks rows that should have been locked before, or behind a source's row that is not
    /// held.
    pub(super) fn statement(&mut self, statement: &Statement) -> Result<(), String> {
        for table in locked_tables(&statement.sql) {
            let Some((name, Some(rank))) = TABLES.iter().find(|(name, _)| *name == table) else {
                continue;
            };
            if let Some(reached) = self.reached.filter(|reached| rank < reached) {
                // The source's row is held already: to change it again waits for nobody.
                let again = *rank >= Rank::Source && self.source.is_some() && reached < Rank::Job;
                if !again {
                    return Err(format!("{name} after {reached:?}: {}", statement.sql));
                }
            }
            match rank {
                Rank::Source => self.hold(statement)?,
                Rank::OfSource if self.source.is_none() => {
                    return Err(format!("{name} without the source's row: {}", statement.sql));
                }
                _ => {}
            }
            self.reached = self.reached.max(Some(*rank));
        }
        Ok(())
    }

    fn hold(&mut self, statement: &Statement) -> Result<(), String> {
        let mut ids = statement
            .values
            .iter()
            .flat_map(|values| &values.0)
            .filter_map(|value| match value {
                Value::Uuid(id) => *id,
                _ => None,
            });
        // An INSERT names the row's id first, a condition last.
        let is_insert = statement.sql.trim_start().starts_with("INSERT");
        let id = if is_insert { ids.next() } else { ids.next_back() };
        match (id, self.source) {
            (Some(id), Some(held)) if id != held => Err(format!("a second source: {}", statement.sql)),
            (None, _) => Err(format!("sources without naming one: {}", statement.sql)),
            (Some(id), _) => {
                self.source = Some(id);
                Ok(())
            }
        }
    }
}

/// The tables whose rows a statement changes or locks. Reads our own statements, of which no literal holds SQL.
fn locked_tables(sql: &str) -> Vec<&str> {
    let words: Vec<&str> = sql
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';'))
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_matches('"'))
        .collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |at| words[at]);
        let table = match *word {
            // `FOR UPDATE`, `FOR NO KEY UPDATE`, `ON CONFLICT … DO UPDATE`.
            "UPDATE" if matches!(before, "FOR" | "KEY" | "DO") => None,
            "UPDATE" => words.get(at + 1),
            "INTO" if before == "INSERT" => words.get(at + 1),
            "FROM" if before == "DELETE" => words.get(at + 1),
            "FOR" if matches!(words.get(at + 1), Some(&("UPDATE" | "NO"))) => {
                let from = words.iter().position(|word| *word == "FROM");
                from.and_then(|from| words.get(from + 1))
            }
            _ => None,
        };
        found.extend(table.copied());
    }
    found
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn statement(sql: &str, id: Uuid) -> Statement {
        Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.into()])
    }

    fn lock(id: Uuid) -> Statement {
        statement(
            r#"SELECT "id", "name" FROM "sources" WHERE "sources"."id" = $1 LIMIT $2 FOR NO KEY UPDATE"#,
            id,
        )
    }

    fn all(statements: &[Statement]) -> Result<(), String> {
        let mut order = Order::default();
        statements
            .iter()
            .try_for_each(|statement| order.statement(statement))
    }

    #[test]
    fn tables_are_found_in_every_form() {
        for (sql, tables) in [
            (r#"SELECT "a" FROM "runs" WHERE "id" = $1"#, vec![]),
            (
                r#"SELECT "a" FROM "runs" WHERE "id" = $1 FOR UPDATE"#,
                vec!["runs"],
            ),
            (
                r#"INSERT INTO "objects" ("a") VALUES ($1) ON CONFLICT ("a") DO UPDATE SET "b" = "excluded"."b""#,
                vec!["objects"],
            ),
            ("INSERT INTO jobs (id) SELECT $1 FROM sources", vec!["jobs"]),
            (r#"DELETE FROM "sweeps" WHERE "id" = $1"#, vec!["sweeps"]),
            (
                "WITH w AS (SELECT 1) UPDATE objects o SET a = 1 FROM w",
                vec!["objects"],
            ),
            (
                "UPDATE jobs SET a = 1 WHERE id = (SELECT id FROM jobs j FOR UPDATE SKIP LOCKED)",
                vec!["jobs", "jobs"],
            ),
        ] {
            assert_eq!(locked_tables(sql), tables, "{sql}");
        }
    }

    #[test]
    fn the_order_is_source_what_belongs_to_it_jobs() {
        let object = statement(r#"UPDATE "objects" SET "a" = 1 WHERE "source_id" = $1"#, A);
        let run = statement(r#"UPDATE "runs" SET "a" = 1 WHERE "id" = $1"#, B);
        let source = statement(r#"UPDATE "sources" SET "a" = 1 WHERE "id" = $1"#, A);
        let job = statement("INSERT INTO jobs (id) VALUES ($1)", B);
        let set = statement(r#"UPDATE "backup_sets" SET "a" = 1 WHERE "id" = $1"#, B);
        let log = statement("INSERT INTO audit_events (a) VALUES ($1)", B);
        for right in [
            vec![&set, &source, &object, &run, &source, &log, &job, &log],
            vec![&set, &job],
            vec![&job, &job],
        ] {
            let right: Vec<Statement> = right.into_iter().cloned().collect();
            all(&right).unwrap();
        }
        for wrong in [
            vec![&job, &source],
            vec![&source, &job, &run],
            vec![&run],
            vec![&object, &source],
            vec![&source, &set],
        ] {
            let wrong: Vec<Statement> = wrong.into_iter().cloned().collect();
            all(&wrong).unwrap_err();
        }
        all(&[lock(A), lock(A)]).unwrap();
        all(&[lock(A), lock(B)]).unwrap_err();
        // Every source at once.
        all(&[Statement::from_string(
            DbBackend::Postgres,
            "UPDATE sources SET a = 1",
        )])
        .unwrap_err();
    }
}
