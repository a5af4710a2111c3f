//! A tenant with one row of everything, and what the server's role gets by its statements.

use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};

use crate::{
    db::{
        Db,
        scratch::{database, tenant},
    },
    scope::TenantScope,
};

const SET: &str = "00000000-0000-0000-0000-0000000000b5";
pub const AGENT: &str = "00000000-0000-0000-0000-0000000000a6";
pub const SOURCE: &str = "00000000-0000-0000-0000-00000000050c";
const RUN: &str = "00000000-0000-0000-0000-0000000000c0";
pub const SNAPSHOT: &str = "00000000-0000-0000-0000-000000000051";
pub const TOKEN: &str = "00000000-0000-0000-0000-000000000070";
pub const OPERATOR: &str = "00000000-0000-0000-0000-000000000090";
pub const TECHNICIAN: &str = "00000000-0000-0000-0000-000000000091";

/// A tenant with one row of everything.
pub struct World {
    pub db: Db,
    pub owner: DatabaseConnection,
    pub scope: TenantScope,
}

impl World {
    pub async fn new() -> Self {
        let (db, owner) = database(2).await;
        let scope = tenant(&db, "tenant").await;
        let id = scope.tenant().as_uuid();
        let sql = format!(
            r#"
            INSERT INTO users VALUES ('{OPERATOR}', 'operator@example.test', 'x', true, now()),
                                     ('{TECHNICIAN}', 'technician@example.test', 'x', false, now());
            INSERT INTO memberships VALUES ('{id}', '{TECHNICIAN}', 'technician', now());
            INSERT INTO sessions (id, user_id, data, expires_at)
            VALUES (repeat('a', 64), '{TECHNICIAN}', '{{"user": "{TECHNICIAN}"}}', now() + interval '1 hour');
            INSERT INTO server_epoch (epoch) VALUES (7);
            INSERT INTO storage_accounts (id, tenant_id, name, endpoint, region, access_key, secret_sealed, path_style, created_at)
            VALUES ('{SET}', '{id}', 'a', 'https://s3.test', 'r', 'k', '', true, now());
            INSERT INTO backup_sets (id, tenant_id, storage_account_id, name, bucket, prefix, retention_days, mode, lock_ahead_days,
                                     grace_hours, lock_cap_days, recovery_key, created_at, tiers, keep_last)
            VALUES ('{SET}', '{id}', '{SET}', 's', 'b', 'p', 30, 'compliance', 14, 48, 400, 'key', now(),
                    '[{{"every": "week", "retention_days": 90}}]', 3);
            INSERT INTO enrollment_tokens (id, tenant_id, backup_set_id, secret_hash, created_by, created_at, expires_at)
            VALUES ('{TOKEN}', '{id}', '{SET}', '\x01', 'x', now(), now() + interval '1 hour');
            INSERT INTO agents (id, tenant_id, backup_set_id, hostname, os, version, signing_key, credential_hash, keyed, enrolled_at)
            VALUES ('{AGENT}', '{id}', '{SET}', 'h', 'o', 'v', 'signing', '\x01', true, now());
            INSERT INTO sources (id, tenant_id, agent_id, backup_set_id, name, paths, excludes, schedule, newest_seq, created_at)
            VALUES ('{SOURCE}', '{id}', '{AGENT}', '{SET}', 'n', '[]', '[]', '{{}}', 5, now());
            INSERT INTO runs (id, tenant_id, source_id, state, created_at) VALUES ('{RUN}', '{id}', '{SOURCE}', 'succeeded', now());
            INSERT INTO snapshots (id, tenant_id, source_id, run_id, seq, state, received_at, protected_until, mode, manifest_hash,
                                   manifest_bytes, totals, tiers)
            VALUES ('{SNAPSHOT}', '{id}', '{SOURCE}', '{RUN}', 5, 'complete', now(), now() + interval '30 days', 'compliance',
                    sha256('m'), 1, '{{}}', '["week"]');
            INSERT INTO objects (tenant_id, source_id, hash, kind, size_bytes, content_md5, state, run_id, signed_until, version_id,
                                 lock_mode, locked_until, confirmed_at, born)
            SELECT '{id}', '{SOURCE}', sha256(convert_to(state, 'UTF8')), 1, 10, '\x00112233445566778899aabbccddeeff', state, '{RUN}',
                   now() + interval '40 days', 'v1', 'compliance', now() + interval '40 days', now() - interval '1 day', 5
            FROM unnest(ARRAY['live', 'pending', 'deleting']) AS s(state);
            INSERT INTO spare_versions VALUES ('{id}', '{SOURCE}', 'k', 'v', 1, now() + interval '40 days', true);
            INSERT INTO audit_events (tenant_id, at, actor, action, subject, detail)
            VALUES ('{id}', now(), 'somebody', 'first', 'x', '{{}}');
            "#
        );
        owner.execute_unprepared(&sql).await.unwrap();
        Self { db, owner, scope }
    }

    /// Does it as the server's role, in a transaction that is rolled back. `Err` has the database's words.
    pub async fn attempt(&self, sql: &str) -> Result<(), String> {
        let tx = self.db.tenant(&self.scope).await.unwrap();
        let done = tx.tx.execute_unprepared(sql).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Does it as the server's role, and keeps it.
    pub async fn keep(&self, sql: &str) {
        let tx = self.db.tenant(&self.scope).await.unwrap();
        tx.tx.execute_unprepared(sql).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The role may write every column from now on: what is refused then is refused by a rule.
    pub async fn grant_everything(&self) {
        let sql = "DO $$ BEGIN EXECUTE format(
                       'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %I', current_database() || '_app');
                   END $$";
        self.owner.execute_unprepared(sql).await.unwrap();
    }

    /// The events that the database itself has written, and what they tell.
    pub async fn told(&self) -> Vec<(String, String, serde_json::Value)> {
        #[derive(FromQueryResult)]
        struct Row {
            action: String,
            subject: String,
            detail: serde_json::Value,
        }
        let sql = "SELECT action, subject, detail FROM audit_events WHERE actor = 'database' ORDER BY id";
        let statement = Statement::from_string(self.owner.get_database_backend(), sql);
        let rows = Row::find_by_statement(statement).all(&self.owner).await.unwrap();
        rows.into_iter()
            .map(|row| (row.action, row.subject, row.detail))
            .collect()
    }

    pub async fn must_allow(&self, statements: &[&str]) {
        for sql in statements {
            let done = self.attempt(sql).await;
            assert_eq!(done, Ok(()), "{sql}");
        }
    }

    /// Every statement is refused with these words.
    pub async fn must_refuse(&self, words: &str, statements: &[&str]) {
        for sql in statements {
            let done = self.attempt(sql).await;
            let refusal = done.expect_err(sql);
            assert!(refusal.contains(words), "{sql}: {refusal}");
        }
    }
}
