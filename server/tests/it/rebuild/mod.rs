//! Promise P7, the server's half: the ledger comes back from the bucket alone, and what differs is named.

mod damage;
mod elsewhere;

use std::{collections::BTreeSet, fs, path::Path};

use holdfast_server::rebuild::{self, Kind, Options, Report};
use sea_orm::ConnectionTrait;
use shared::{api::agent::AbortRequest, retention::LockMode, schedule::Schedule};

use crate::{
    support::{Site, Stack, versions},
    sweep::{Ground, days, noise},
};

/// Five snapshots, in GOVERNANCE mode so that the test can damage what is locked: a file that stays, one that is another in
/// each, one that comes and goes.
pub async fn five(stack: &Stack) -> Site {
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    fs::write(site.data.join("stays"), noise(0, 50_000)).unwrap();
    for run in 1..=5 {
        fs::write(site.data.join("changes"), noise(run, 20_000)).unwrap();
        match run % 2 {
            0 => fs::write(site.data.join("comes"), noise(100, 20_000)).unwrap(),
            _ => drop(fs::remove_file(site.data.join("comes"))),
        }
        site.backup().await.unwrap();
        stack.advance(days(1)).await;
    }
    stack.hold_rounds().await;
    site
}

async fn run(stack: &Stack, site: &Site, options: Options) -> Report {
    let (scope, set) = rebuild::find_set(&stack.app, Some(site.set.id)).await.unwrap();
    let report = rebuild::backup_set(&stack.app, &scope, &set, &options)
        .await
        .unwrap();
    // What people read names every finding that is shown, and says whether anything was done.
    let table = rebuild::table(&report);
    assert_eq!(table.contains("nothing was changed"), !options.apply, "{table}");
    report
}

pub async fn dry(stack: &Stack, site: &Site) -> Report {
    run(stack, site, Options::default()).await
}

pub async fn apply(stack: &Stack, site: &Site) -> Report {
    let options = Options {
        apply: true,
        ..Options::default()
    };
    run(stack, site, options).await
}

/// What was found of the only source: kind and subject.
fn named(report: &Report) -> BTreeSet<(Kind, String)> {
    assert_eq!(report.sources.len(), 1);
    report.sources[0]
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.subject.clone()))
        .collect()
}

/// Every row of the ledger, without what no bucket can tell: whose tenant it is, what was signed into addresses, when S3
/// was last asked, and how much of a pack is still used.
pub async fn rows(stack: &Stack) -> Vec<String> {
    let sql =
        "SELECT (to_jsonb(o) - '{tenant_id, signed_until, signed_at, confirmed_at, live_bytes}'::text[])::text AS row FROM objects o
               UNION ALL
               SELECT (to_jsonb(s) - 'tenant_id')::text FROM snapshots s
               UNION ALL
               SELECT jsonb_build_array(id, source_id, state, received_at, snapshot_id)::text FROM runs
               UNION ALL
               SELECT jsonb_build_array(id, agent_id, newest_seq)::text FROM sources
               ORDER BY 1";
    let rows = stack.query(sql).await;
    rows.iter().map(|row| row.try_get("", "row").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_ledger_comes_back_row_by_row() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    let report = dry(&stack, &site).await;
    assert!(report.is_clean(), "{report:?}");
    let before = rows(&stack).await;
    let objects = stack.query("SELECT 1 FROM objects").await.len() as u64;
    assert_eq!(
        (report.sources[0].snapshots, report.sources[0].objects),
        (5, objects)
    );

    stack
        .owner
        .execute_unprepared(
            "TRUNCATE objects, snapshots, snapshot_paths, runs, spare_versions, sweeps, restores, jobs, commit_requests, commit_pages, set_sums;
             UPDATE sources SET newest_seq = 0",
        )
        .await
        .unwrap();
    let report = dry(&stack, &site).await;
    let kinds: Vec<Kind> = named(&report).into_iter().map(|(kind, _)| kind).collect();
    let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count() as u64;
    assert_eq!(count(Kind::SnapshotMissingInLedger), 5);
    assert_eq!(count(Kind::MissingInLedger), objects);
    assert_eq!(kinds.len() as u64, 5 + objects);
    assert!(stack.query("SELECT 1 FROM objects").await.is_empty(), "a dry run");
    let report = apply(&stack, &site).await;
    let written = report.sources[0].written.unwrap();
    assert_eq!(
        (written.snapshots, written.objects, written.missing),
        (5, objects, 0)
    );
    assert_eq!(rows(&stack).await, before);
    let report = dry(&stack, &site).await;
    assert!(report.is_clean(), "{report:?}");
    let audited = stack
        .query("SELECT 1 FROM audit_events WHERE action = 'ledger.rebuild'")
        .await;
    assert_eq!(audited.len(), 1);

    // A backup builds on it and sends nothing again; a sweep finds nothing to complain of; the oldest snapshot restores.
    let stored = versions(&stack.root(), &site.set.bucket).await.len();
    fs::write(site.data.join("new"), noise(200, 1_000)).unwrap();
    let sixth = site.backup().await.unwrap();
    assert_eq!(sixth.seq, 6);
    assert!(sixth.totals.bytes_sent < 30_000, "{:?}", sixth.totals);
    stack.sweep().await;
    let ground = Ground::of(&stack, &site).await;
    ground.check(&site);
    assert_eq!(ground.snapshots.len(), 6);
    // A pack, a tree pack, an index segment, manifest and commit record; no second version of anything.
    assert!(
        ground.bucket.len() <= stored + 6,
        "{stored} {}",
        ground.bucket.len()
    );
    let keys: BTreeSet<_> = ground.bucket.keys().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), ground.bucket.len());
    let oldest = ground.snapshots[0].id;
    site.authorise(&stack.operator, oldest).await;
    let target = stack.folder.path().join("restored");
    site.restore(oldest, &target).await.unwrap();
    let restored = target.join(site.data.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("changes")).unwrap(), noise(1, 20_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_run_holds_the_rebuild_off() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    stack
        .owner
        .execute_unprepared(r#"UPDATE snapshots SET protected_until = received_at, tiers = '["year"]'"#)
        .await
        .unwrap();
    let before = rows(&stack).await;
    let client = site.client();
    let run = client.start_run(site.source.id).await.unwrap().run_id;
    let report = apply(&stack, &site).await;
    assert!(
        report.sources[0].refused.as_ref().unwrap().contains("under way"),
        "{report:?}"
    );
    let reason = AbortRequest {
        reason: "the test says so".into(),
        may_pass: false,
    };
    client.abort(run, &reason).await.unwrap();
    let changed = |rows: Vec<String>| {
        rows.into_iter()
            .filter(|row| !row.contains("\"failed\""))
            .collect::<Vec<_>>()
    };
    assert_eq!(changed(rows(&stack).await), before);
    let report = apply(&stack, &site).await;
    assert_eq!(report.sources[0].written.unwrap().snapshots, 5);
    assert!(dry(&stack, &site).await.is_clean());
    // The records have no tier: what the ledger has beyond them stays.
    let kept = r#"SELECT 1 FROM snapshots WHERE tiers = '["year"]'"#;
    assert_eq!(stack.query(kept).await.len(), 5);
}

/// The command itself: what it prints, and what its exit code says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_and_writes() {
    let stack = Stack::start().await;
    let site = five(&stack).await;
    let command = async |data: &Path, arguments: &[&str]| {
        // The command goes by the machine's clock.
        let system = holdfast_server::clock::Clock::system();
        stack.bucket_clock.set(system.system_time());
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["rebuild-ledger", "--database-url", &stack.database_url, "--data"])
            .arg(data)
            .args(["--storage-network", "127.0.0.0/8"])
            .args(arguments)
            .output()
            .await
            .unwrap();
        stack.bucket_clock.set(stack.clock.system_time());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, table, errors) = command(&stack.data, &[]).await;
    assert_eq!(code, Some(0), "{table}{errors}");
    assert!(table.contains("ledger and bucket agree"), "{table}");
    stack
        .owner
        .execute_unprepared("DELETE FROM objects WHERE kind = 4 AND born = 2")
        .await
        .unwrap();
    let set = site.set.id.to_string();
    let (code, json, _) = command(&stack.data, &["--backup-set", &set, "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let finding = &report["sources"][0]["findings"][0];
    assert_eq!((code, &finding["kind"]), (Some(1), &"missing_in_ledger".into()));
    let (code, table, _) = command(&stack.data, &["--apply"]).await;
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains("written: 0 snapshots, 1 object;"), "{table}");
    assert!(dry(&stack, &site).await.is_clean());
    // Another folder has another key, or none: the server must not be locked out of its database.
    let (code, _, error) = command(stack.folder.path(), &[]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("there is no master key"), "{error}");
    let (code, _, error) = command(
        &stack.data,
        &["--backup-set", "set_01930000000070008000000000000001"],
    )
    .await;
    assert_eq!(code, Some(1));
    assert!(error.contains(&set), "{error}");
}
