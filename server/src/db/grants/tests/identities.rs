//! Who people and agents are, what counts up, and what is not granted at all: tried by statements of the server's role.

use sea_orm::{ConnectionTrait, Statement};

use super::world::{AGENT, OPERATOR, TECHNICIAN, TOKEN, World};
use crate::db::scratch::tenant;

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
                "CREATE SCHEMA mine",
                "CREATE TEMPORARY TABLE users (id uuid, operator boolean)",
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
