//! The rules about values, each tried by statements of the server's role on a real database.

use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};

use crate::{
    db::{
        Db, audit,
        scratch::{database, tenant},
    },
    scope::TenantScope,
};

const SET: &str = "00000000-0000-0000-0000-0000000000b5";
const AGENT: &str = "00000000-0000-0000-0000-0000000000a6";
const SOURCE: &str = "00000000-0000-0000-0000-00000000050c";
const RUN: &str = "00000000-0000-0000-0000-0000000000c0";
const SNAPSHOT: &str = "00000000-0000-0000-0000-000000000051";
const TOKEN: &str = "00000000-0000-0000-0000-000000000070";
const OPERATOR: &str = "00000000-0000-0000-0000-000000000090";
const TECHNICIAN: &str = "00000000-0000-0000-0000-000000000091";

/// A tenant with one row of everything.
struct World {
    db: Db,
    owner: DatabaseConnection,
    scope: TenantScope,
}

impl World {
    async fn new() -> Self {
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
    async fn attempt(&self, sql: &str) -> Result<(), String> {
        let tx = self.db.tenant(&self.scope).await.unwrap();
        let done = tx.tx.execute_unprepared(sql).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Does it as the server's role, and keeps it.
    async fn keep(&self, sql: &str) {
        let tx = self.db.tenant(&self.scope).await.unwrap();
        tx.tx.execute_unprepared(sql).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The role may write every column from now on: what is refused then is refused by a rule.
    async fn grant_everything(&self) {
        let sql = "DO $$ BEGIN EXECUTE format(
                       'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %I', current_database() || '_app');
                   END $$";
        self.owner.execute_unprepared(sql).await.unwrap();
    }

    /// The events that the database itself has written, and what they tell.
    async fn told(&self) -> Vec<(String, String, serde_json::Value)> {
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

    async fn must_allow(&self, statements: &[&str]) {
        for sql in statements {
            let done = self.attempt(sql).await;
            assert_eq!(done, Ok(()), "{sql}");
        }
    }

    /// Every statement is refused with these words.
    async fn must_refuse(&self, words: &str, statements: &[&str]) {
        for sql in statements {
            let done = self.attempt(sql).await;
            let refusal = done.expect_err(sql);
            assert!(refusal.contains(words), "{sql}: {refusal}");
        }
    }
}

const DENIED: &str = "permission denied";

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let world = World::new().await;
    world
        .must_refuse(
            DENIED,
            &[
                "TRUNCATE objects",
                "TRUNCATE audit_events",
                "DELETE FROM snapshots",
                "DELETE FROM audit_events",
                "DELETE FROM users",
                "UPDATE audit_events SET actor = 'x'",
                "UPDATE backup_sets SET recovery_key = 'mine'",
                "UPDATE backup_sets SET retention_days = 1",
                "UPDATE backup_sets SET tiers = '[]'",
                "UPDATE users SET operator = true",
                "UPDATE users SET password_hash = 'mine'",
                "UPDATE users SET email = 'mine@example.test'",
                "UPDATE memberships SET role = 'owner'",
                "UPDATE agents SET signing_key = 'mine'",
                "UPDATE agents SET credential_hash = ''",
                "UPDATE enrollment_tokens SET secret_hash = ''",
                "UPDATE sources SET agent_id = gen_random_uuid()",
                "UPDATE restores SET expires_at = 'infinity'",
                "SELECT fingerprint FROM server_key",
                "SELECT version FROM seaql_migrations",
                "INSERT INTO audit_events (id, tenant_id, at, actor, action, subject, detail) OVERRIDING SYSTEM VALUE
                 VALUES (-1, app_tenant(), now(), 'x', 'x', 'x', '{}')",
                "CREATE TABLE mine (a integer)",
                "SELECT setval('audit_events_id_seq', 1)",
                "CREATE OR REPLACE FUNCTION app_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
                "SET session_replication_role = replica",
            ],
        )
        .await;
    world
        .must_refuse(
            "must be owner",
            &[
                "ALTER TABLE objects DISABLE TRIGGER ALL",
                "DROP TRIGGER promise_kept ON snapshots",
            ],
        )
        .await;
    let make = [
        "INSERT INTO users VALUES (gen_random_uuid(), 'mine@example.test', 'x', true, now())".to_owned(),
        format!(
            "INSERT INTO memberships VALUES ('{}', '{TECHNICIAN}', 'owner', now())",
            world.scope.tenant().as_uuid()
        ),
    ];
    world.must_refuse(DENIED, &[&make[0], &make[1]]).await;
}

#[tokio::test]
async fn an_operator_is_made_once() {
    let world = World::new().await;
    let make = "SELECT app_first_operator(gen_random_uuid(), 'mine@example.test', 'x', now())";
    world.must_refuse("there are users already", &[make]).await;
    world
        .owner
        .execute_unprepared("DELETE FROM memberships; DELETE FROM sessions; DELETE FROM users")
        .await
        .unwrap();
    world.must_allow(&[make]).await;
    let twice = format!("{make}; {make}");
    world.must_refuse("there are users already", &[&twice]).await;
}

#[tokio::test]
async fn a_promise_never_shrinks() {
    let world = World::new().await;
    world
        .must_refuse(
            "a promise is never shortened",
            &[
                "UPDATE snapshots SET protected_until = protected_until - interval '1 microsecond'",
                "UPDATE snapshots SET protected_until = '-infinity'",
            ],
        )
        .await;
    world
        .must_refuse(
            "a snapshot loses no tier",
            &[
                "UPDATE snapshots SET tiers = '[]'",
                r#"UPDATE snapshots SET tiers = '["month"]'"#,
                "UPDATE snapshots SET tiers = '{}'",
            ],
        )
        .await;
    world
        .must_refuse(
            "a snapshot goes from locking",
            &[
                "UPDATE snapshots SET state = 'locking'",
                "UPDATE snapshots SET state = 'broken'",
                "UPDATE snapshots SET state = 'expired', expired_at = now();
                 UPDATE snapshots SET state = 'complete', expired_at = NULL",
            ],
        )
        .await;
    world
        .must_allow(&[
            "UPDATE snapshots SET protected_until = protected_until",
            "UPDATE snapshots SET protected_until = protected_until + interval '1 day'",
            r#"UPDATE snapshots SET tiers = '["month", "week"]'"#,
            "UPDATE snapshots SET state = 'expired', expired_at = now()",
        ])
        .await;
    assert_eq!(world.told().await, vec![]);
    world
        .keep("UPDATE snapshots SET mode = 'governance', state = 'expired', expired_at = now()")
        .await;
    let told = world.told().await;
    let actions: Vec<&str> = told.iter().map(|(action, ..)| action.as_str()).collect();
    assert_eq!(actions, ["snapshot.corrected", "snapshot.expired_early"]);
    assert_eq!(told[0].1, SNAPSHOT);
    assert_eq!(
        told[0].2["mode"],
        serde_json::json!({ "was": "compliance", "is": "governance" })
    );
}

#[tokio::test]
async fn a_snapshot_that_is_given_up_in_time_is_no_news() {
    let world = World::new().await;
    let ended = "UPDATE snapshots SET protected_until = now() - interval '1 minute'";
    world.owner.execute_unprepared(ended).await.unwrap();
    world
        .keep("UPDATE snapshots SET state = 'expired', expired_at = now()")
        .await;
    assert_eq!(world.told().await, vec![]);
}

#[tokio::test]
async fn a_lock_falls_only_with_a_newer_confirmation_and_is_told() {
    let world = World::new().await;
    let only = "WHERE state = 'live'";
    let refused = [
        format!("UPDATE objects SET locked_until = locked_until - interval '1 day' {only}"),
        format!(
            "UPDATE objects SET locked_until = locked_until - interval '1 day', confirmed_at = confirmed_at {only}"
        ),
        format!(
            "UPDATE objects SET locked_until = now(), confirmed_at = confirmed_at - interval '1 day' {only}"
        ),
        format!("UPDATE objects SET locked_until = now(), confirmed_at = NULL {only}"),
        format!("UPDATE objects SET lock_mode = 'governance' {only}"),
        format!("UPDATE objects SET lock_mode = NULL, confirmed_at = now() {only}"),
        format!("UPDATE objects SET locked_until = NULL, missing_since = now(), confirmed_at = now() {only}"),
        // What is pending keeps its lock as long as it keeps its version.
        "UPDATE objects SET locked_until = now() WHERE state = 'pending'".to_owned(),
        "UPDATE objects SET locked_until = now() WHERE state = 'deleting'".to_owned(),
    ];
    for sql in &refused {
        world
            .must_refuse("a lock falls only with a newer confirmation", &[sql])
            .await;
    }
    world
        .must_refuse(
            "none becomes pending again",
            &[
                "UPDATE objects SET state = 'pending' WHERE state = 'live'",
                "UPDATE objects SET state = 'live' WHERE state = 'deleting'",
            ],
        )
        .await;
    world
        .keep("UPDATE objects SET locked_until = locked_until + interval '1 day' WHERE state = 'live'")
        .await;
    world
        .keep(
            "UPDATE objects SET version_id = NULL, lock_mode = NULL, locked_until = NULL, confirmed_at = NULL
               WHERE state = 'pending'",
        )
        .await;
    assert_eq!(world.told().await, vec![], "neither is a lock that fell");

    world
        .keep("UPDATE objects SET locked_until = '2001-01-01Z', confirmed_at = now() WHERE state = 'live'")
        .await;
    let told = world.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let (action, subject, detail) = &told[0];
    assert_eq!((action.as_str(), subject.as_str()), ("object.lock_fell", SOURCE));
    assert_eq!(detail["locked_until"]["is"], "2001-01-01T00:00:00+00:00");
    assert!(detail["locked_until"]["was"].is_string(), "{detail}");
    assert_eq!(
        (&detail["version_id"], &detail["lock_mode"]),
        (&"v1".into(), &"compliance".into())
    );
    let by_conflict = "INSERT INTO objects SELECT * FROM objects WHERE state = 'live'
                       ON CONFLICT (source_id, hash) DO UPDATE SET lock_mode = 'governance', confirmed_at = now() + interval '1 s'";
    world.keep(by_conflict).await;
    let told = world.told().await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1].2["lock_mode"]["is"], "governance");
}

#[tokio::test]
async fn a_row_that_is_forgotten_before_its_lock_ends_is_told() {
    let world = World::new().await;
    world.keep("DELETE FROM objects").await;
    let told = world.told().await;
    // Row-level security keeps the other rows.
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "object.forgotten_early");
    assert!(told[0].2["locked_until"].is_string(), "{:?}", told[0].2);

    let ended = "UPDATE objects SET state = 'deleting', locked_until = now() - interval '1 minute' WHERE state = 'live'";
    world.owner.execute_unprepared(ended).await.unwrap();
    world.keep("DELETE FROM objects").await;
    assert_eq!(world.told().await.len(), 1);
}

#[tokio::test]
async fn the_audit_log_has_the_databases_time() {
    let world = World::new().await;
    let tx = world.db.tenant(&world.scope).await.unwrap();
    let event = audit::Event {
        actor: "somebody",
        action: "second",
        subject: String::new(),
        detail: serde_json::json!({}),
    };
    // Long ago, by whoever writes it.
    let then = jiff::Timestamp::from_second(1_000_000_000).unwrap();
    audit::add(&tx, event, then).await.unwrap();
    tx.commit().await.unwrap();
    world
        .keep(
            "INSERT INTO audit_events (tenant_id, at, actor, action, subject, detail)
               VALUES (app_tenant(), 'infinity', 'x', 'third', '', '{}')",
        )
        .await;
    // A transaction that was left open gives its beginning to nothing.
    world
        .keep("SELECT pg_sleep(0.2);
               INSERT INTO audit_events (tenant_id, at, actor, action, subject, detail)
               VALUES (app_tenant(), now(), 'x', CASE WHEN now() < clock_timestamp() - interval '0.2 s' THEN 'late' END, '', '{}')")
        .await;
    let sql = "SELECT 1 AS one FROM audit_events
               WHERE at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
                  OR (action = 'late' AND at < (SELECT max(at) FROM audit_events WHERE action = 'third') + interval '0.2 s')";
    let statement = Statement::from_string(world.owner.get_database_backend(), sql);
    assert!(world.owner.query_one_raw(statement).await.unwrap().is_none());
}

#[tokio::test]
async fn a_policy_never_shrinks() {
    let world = World::new().await;
    world.grant_everything().await;
    world
        .must_refuse(
            "a policy never shrinks",
            &[
                "UPDATE backup_sets SET retention_days = 29",
                "UPDATE backup_sets SET mode = 'governance'",
                "UPDATE backup_sets SET keep_last = 2",
                "UPDATE backup_sets SET grace_hours = 47",
                "UPDATE backup_sets SET lock_cap_days = 399",
                "UPDATE backup_sets SET lock_ahead_days = 13",
                "UPDATE backup_sets SET lock_ahead_days = NULL",
                "UPDATE backup_sets SET time_zone = 'Asia/Tokyo'",
                "UPDATE backup_sets SET tiers = '[]'",
                "UPDATE backup_sets SET tiers = '{}'",
                r#"UPDATE backup_sets SET tiers = '[{"every": "week", "retention_days": 89}]'"#,
                r#"UPDATE backup_sets SET tiers = '[{"every": "month", "retention_days": 90}]'"#,
            ],
        )
        .await;
    world
        .must_refuse(
            "do not change",
            &[
                "UPDATE backup_sets SET recovery_key = 'mine'",
                "UPDATE backup_sets SET bucket = 'mine'",
                "UPDATE backup_sets SET prefix = 'mine'",
                "UPDATE backup_sets SET storage_account_id = gen_random_uuid()",
            ],
        )
        .await;
    world
        .must_allow(&[
            "UPDATE backup_sets SET retention_days = 31, keep_last = 4, grace_hours = 49, lock_cap_days = 401, lock_ahead_days = 15",
            r#"UPDATE backup_sets SET tiers = '[{"every": "year", "retention_days": 1}, {"every": "week", "retention_days": 91}]'"#,
            "UPDATE backup_sets SET recovery_key = recovery_key, mode = mode, next_check_at = now()",
        ])
        .await;
    let weaker = "UPDATE backup_sets SET mode = 'governance'";
    world.owner.execute_unprepared(weaker).await.unwrap();
    world
        .must_allow(&["UPDATE backup_sets SET mode = 'compliance'"])
        .await;
}

/// The second wall behind the grants: also a role that may write every column keeps to the rules.
#[tokio::test]
async fn identities_change_behind_functions_only() {
    let world = World::new().await;
    world.grant_everything().await;
    world
        .must_refuse(
            "behind functions only",
            &[
                "UPDATE users SET operator = true",
                "UPDATE users SET password_hash = 'mine'",
                "DELETE FROM users",
                "INSERT INTO users VALUES (gen_random_uuid(), 'mine@example.test', 'x', true, now())",
                "UPDATE memberships SET role = 'owner'",
                "DELETE FROM memberships",
                "UPDATE agents SET signing_key = 'mine'",
                "UPDATE agents SET credential_hash = ''",
                "UPDATE agents SET keyed = false",
            ],
        )
        .await;
    world
        .must_refuse(
            "a used token stays used",
            &[
                "UPDATE enrollment_tokens SET secret_hash = ''",
                "UPDATE enrollment_tokens SET expires_at = expires_at + interval '1 second'",
                "UPDATE enrollment_tokens SET used_at = now(); UPDATE enrollment_tokens SET used_at = NULL",
            ],
        )
        .await;
    world
        .must_refuse(
            "the audit log is only added to",
            &["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events"],
        )
        .await;
    world
        .must_allow(&[
            "UPDATE enrollment_tokens SET used_at = now()",
            "UPDATE enrollment_tokens SET expires_at = now()",
            "UPDATE agents SET last_seen_at = now()",
        ])
        .await;
}

#[tokio::test]
async fn a_key_is_put_over_a_hash_once() {
    let world = World::new().await;
    let agent = format!("SELECT app_key_credential('{AGENT}', '\\x02')");
    let token = format!("SELECT app_key_token('{TOKEN}', '\\x02')");
    world.keep(&format!("{agent}; {token}")).await;
    // The agent's had a key already.
    let hashes = "SELECT (SELECT credential_hash FROM agents) = '\\x01' AND NOT (SELECT secret_hash FROM enrollment_tokens) = '\\x01'
                  AND (SELECT keyed FROM enrollment_tokens) AS so";
    let statement = Statement::from_string(world.owner.get_database_backend(), hashes);
    let row = world.owner.query_one_raw(statement).await.unwrap().unwrap();
    assert!(row.try_get::<bool>("", "so").unwrap());
    // Nor is another tenant's row in reach.
    let unkeyed = "UPDATE agents SET keyed = false";
    world.owner.execute_unprepared(unkeyed).await.unwrap();
    let other = tenant(&world.db, "other").await;
    let tx = world.db.tenant(&other).await.unwrap();
    tx.tx.execute_unprepared(&agent).await.unwrap();
    tx.commit().await.unwrap();
    let statement = Statement::from_string(world.owner.get_database_backend(), "SELECT keyed FROM agents");
    let row = world.owner.query_one_raw(statement).await.unwrap().unwrap();
    assert!(!row.try_get::<bool>("", "keyed").unwrap());
}

#[tokio::test]
async fn what_counts_up_does_not_go_back() {
    let world = World::new().await;
    let session = format!(r#"UPDATE sessions SET user_id = '{OPERATOR}', data = '{{"user": "{OPERATOR}"}}'"#);
    let data = format!(r#"UPDATE sessions SET data = '{{"user": "{OPERATOR}"}}'"#);
    world
        .must_refuse("a session stays its user's", &[&session, &data])
        .await;
    world
        .must_refuse(
            "count",
            &[
                "UPDATE sources SET newest_seq = 4",
                "UPDATE server_epoch SET epoch = 6",
            ],
        )
        .await;
    world
        .must_refuse(
            "a spare version's lock does not fall",
            &[
                "UPDATE spare_versions SET locked_until = now()",
                "UPDATE spare_versions SET deleting = false",
            ],
        )
        .await;
    world
        .must_allow(&[
            "UPDATE sources SET newest_seq = 6",
            "UPDATE server_epoch SET epoch = 8",
            "UPDATE spare_versions SET locked_until = locked_until + interval '1 day'",
            "UPDATE sessions SET expires_at = now()",
        ])
        .await;
}

/// The owner of the tables repairs by hand: no rule is in its way.
#[tokio::test]
async fn the_owner_is_not_bound() {
    let world = World::new().await;
    for sql in [
        "UPDATE snapshots SET protected_until = now(), tiers = '[]'",
        "UPDATE objects SET locked_until = now() WHERE state = 'live'",
        "UPDATE backup_sets SET retention_days = 1, recovery_key = 'new'",
        "UPDATE users SET operator = true",
    ] {
        world.owner.execute_unprepared(sql).await.unwrap();
    }
    assert_eq!(world.told().await, vec![]);
}
