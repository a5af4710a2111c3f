//! The rules about promises, locks, policies and the audit log, each tried by statements of the server's role.

use sea_orm::{ConnectionTrait, Statement};

use super::world::{SNAPSHOT, SOURCE, World};
use crate::db::audit;

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
