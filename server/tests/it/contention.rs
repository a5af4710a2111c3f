//! Commits, rounds, sweeps, checks, grooming, restores and people against each other: nobody waits for somebody who waits
//! for them. What a deadlock or a row lock out of order leaves behind fails the test when its stack is dropped.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sea_orm::ConnectionTrait;
use shared::{
    api::view::{RunView, SnapshotState},
    schedule::Schedule,
};

use crate::support::{Site, Stack};

/// Backups of each source.
const BACKUPS: usize = 4;

/// Backs a source up again and again; each backup changes a file, so that something is added and dropped.
async fn back_up(stack: &Stack, site: &Site) {
    for turn in 0..BACKUPS {
        fs::write(site.data.join("changing"), format!("turn {turn}").repeat(1_000)).unwrap();
        let done = tokio::time::timeout(Duration::from_secs(120), site.backup()).await;
        let done = done.expect("a backup of a small file takes a second").unwrap();
        assert_eq!(done.seq, turn as u64 + 1);
        let view = site.authorise(&stack.operator, done.id).await;
        site.restore(
            view.snapshot_id,
            &stack.folder.path().join(format!("{}-{turn}", site.tenant)),
        )
        .await
        .unwrap();
    }
}

/// Makes everything due, all the time.
async fn rounds(stack: &Stack, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        stack
            .owner
            .execute_unprepared(
                "UPDATE sources SET next_sweep_at = NULL; UPDATE backup_sets SET next_check_at = '2000-01-01';",
            )
            .await
            .unwrap();
        holdfast_server::jobs::round(&stack.app).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A technician who clicks without rest.
async fn click(stack: &Stack, site: &Site, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let path = format!("/tenants/{}/sources/{}/runs", site.tenant, site.source.id);
        let run: RunView = stack.operator.post(&path, &serde_json::json!({})).await.unwrap();
        let path = format!("/tenants/{}/runs/{}", site.tenant, run.id);
        stack.operator.get::<RunView>(&path).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_rounds_sweeps_and_checks_do_not_wait_in_a_circle() {
    let stack = Stack::start().await;
    let sites = [
        stack.site("one", Schedule::manual()).await,
        stack.site("two", Schedule::manual()).await,
    ];
    let over = AtomicBool::new(false);
    let work = async {
        futures::future::join_all(sites.iter().map(|site| back_up(&stack, site))).await;
        over.store(true, Ordering::Relaxed);
    };
    let clicks = futures::future::join_all(sites.iter().map(|site| click(&stack, site, &over)));
    tokio::join!(work, rounds(&stack, &over), clicks);
    for site in &sites {
        let tx = stack.tx(site).await;
        let snapshots = holdfast_server::db::snapshots::of_source(&tx, site.source.id)
            .await
            .unwrap();
        assert_eq!(snapshots.len(), BACKUPS);
        assert!(
            snapshots
                .iter()
                .all(|snapshot| snapshot.state == SnapshotState::Complete)
        );
    }
    // Every table has a place in the order, also one that is made tomorrow.
    let named: Vec<&str> = holdfast_server::db::order::ordered_tables().collect();
    for row in stack
        .query("SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'seaql_migrations'")
        .await
    {
        let name: String = row.try_get("", "name").unwrap();
        assert!(
            named.contains(&name.as_str()),
            "give the table {name} its place in server/src/db/order.rs"
        );
    }
}
