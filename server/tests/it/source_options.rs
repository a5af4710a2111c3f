//! What limits a source, and what its runs say of it: from the form to the agent, and back to the page.

use std::fs;

use serde_json::{Value, json};
use shared::{
    api::{
        agent::{CommitRequest, SnapshotTotals, SourceOptions},
        commit::PageTotals,
        report::RunReport,
        view::{RunView, SnapshotPage, SourceView, TenantOverview},
    },
    object::{ObjectHash, ObjectKind, ObjectRef},
    schedule::Schedule,
};

use crate::support::{Site, Stack};

async fn source(stack: &Stack, site: &Site, name: &str, more: Value) -> SourceView {
    let mut body = json!({
        "agent_id": site.source.agent_id, "name": name, "paths": [site.data], "schedule": Schedule::manual(),
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let path = format!("/tenants/{}/sources", site.tenant);
    stack.operator.post(&path, &body).await.unwrap()
}

async fn card(stack: &Stack, site: &Site, source: &SourceView) -> SourceView {
    let page: TenantOverview = stack.of_tenant(site, "/overview").await;
    page.sources
        .into_iter()
        .find(|card| card.id == source.id)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_go_with_the_order_and_a_source_of_before_takes_what_it_took() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let plain = source(&stack, &site, "plain", json!({})).await;
    let all = json!({
        "excludes": ["*.tmp"], "one_file_system": true, "include_network_mounts": true, "unstable_inodes": true,
    });
    let limited = source(&stack, &site, "limited", all).await;
    // As a row is that was there before there were options.
    let old = source(&stack, &site, "old", json!({})).await;
    stack
        .change(&format!(
            "UPDATE sources SET options = DEFAULT WHERE id = '{}'",
            old.id.as_uuid()
        ))
        .await;
    let sources = site.client().sources().await.unwrap();
    let options = |source: &SourceView| {
        let told = sources.iter().find(|told| told.id == source.id).unwrap();
        told.options.clone()
    };
    let none = SourceOptions::default();
    assert_eq!(
        options(&plain),
        SourceOptions {
            leave_out_network_mounts: true,
            ..none.clone()
        }
    );
    assert_eq!(
        options(&limited),
        SourceOptions {
            one_file_system: true,
            unstable_inodes: true,
            ..none.clone()
        }
    );
    assert_eq!(options(&old), none, "network mounts are entered as before");
    assert_eq!(card(&stack, &site, &limited).await.options, options(&limited));

    // What leaves data out is in the audit log, like the paths.
    let audited = stack
        .query(&format!(
            "SELECT 1 FROM audit_events WHERE action = 'source.create' AND subject = '{}' \
             AND detail -> 'options' ->> 'one_file_system' = 'true' AND detail -> 'excludes' = '[\"*.tmp\"]'",
            limited.id
        ))
        .await;
    assert_eq!(audited.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_do_nothing_are_on_the_sources_card_after_each_run() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let excludes = json!({ "excludes": ["*.tmp", "/cache/", "*.bak"] });
    let source = source(&stack, &site, "lines", excludes).await;
    let backup = async || {
        let done = agent::backup(
            &site.state,
            Some("lines"),
            std::sync::Arc::new(agent::progress::Silent),
        )
        .await;
        done.unwrap().remove(0)
    };
    assert!(
        card(&stack, &site, &source).await.unmatched_excludes.is_empty(),
        "nobody knows yet"
    );
    fs::write(site.data.join("a.tmp"), "x").unwrap();
    let first = backup().await;
    assert_eq!(first.totals.warnings, 1, "nothing was taken");
    let shown = card(&stack, &site, &source).await;
    assert_eq!(shown.unmatched_excludes, ["/cache/", "*.bak"]);
    assert!(shown.took_nothing && shown.unread_excludes.is_empty());
    let page = stack.operator.html(&format!("/tenants/{}", site.tenant)).await;
    for words in [
        "matched nothing in the newest backup",
        "<li class=\"mono\">*.bak</li>",
        "took 0 files",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let page = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{}", site.tenant, first.id))
        .await;
    assert!(page.contains("took 0 files"));
    let unclean = format!(
        "SELECT 1 FROM snapshots WHERE id = '{}' AND NOT clean",
        first.id.as_uuid()
    );
    assert_eq!(stack.query(&unclean).await.len(), 1);

    fs::write(site.data.join("b.bak"), "x").unwrap();
    fs::write(site.data.join("file"), "x").unwrap();
    backup().await;
    let shown = card(&stack, &site, &source).await;
    assert_eq!(shown.unmatched_excludes, ["/cache/"]);
    assert!(!shown.took_nothing);
}

/// An agent may say anything: lines that are not there, and a figure of any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_lines_that_are_not_there_is_cut_to_those_that_are() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let source = source(&stack, &site, "lines", json!({ "excludes": ["a", "b"] })).await;
    let client = site.client();
    let work = client.start_run(source.id).await.unwrap();
    let mut report = RunReport {
        unmatched_excludes: (0..1_000).rev().chain([1, 1]).collect(),
        unread_excludes: vec![u32::MAX],
        ..RunReport::default()
    };
    report.read_again.inode.files = 7;
    report.read_again.inode.bytes = 20 << 30;
    let request = CommitRequest {
        parent_seq: 0,
        manifest: ObjectRef {
            kind: ObjectKind::Manifest,
            hash: ObjectHash::from_bytes([1; 32]),
            size_bytes: 10,
        },
        totals: SnapshotTotals::default(),
        paths: Vec::new(),
        change: PageTotals::of_pages(&[], repository::hash),
        counted_liveness: false,
        report: Some(report),
    };
    client.commit(work.run_id, &request).await.unwrap();
    let run: RunView = stack.of_tenant(&site, &format!("/runs/{}", work.run_id)).await;
    let kept = run.report.unwrap();
    assert_eq!(
        (
            kept.unmatched_excludes.as_slice(),
            kept.unread_excludes.as_slice()
        ),
        (&[0, 1][..], &[][..])
    );
    let page = stack
        .operator
        .html(&format!("/tenants/{}/runs/{}", site.tenant, work.run_id))
        .await;
    for words in ["Read again", "GiB", "because inode numbers changed"] {
        assert!(page.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_again_is_on_the_page_of_the_snapshot() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let path = site.data.join("file");
    // So old that it is trusted: an agent waits 40 seconds after a change. Its change time is the machine's, so that is what runs.
    fs::write(&path, vec![7; 3_000]).unwrap();
    let snapshot = site.backup().await.unwrap();
    let page: SnapshotPage = stack
        .of_tenant(&site, &format!("/snapshots/{}", snapshot.id))
        .await;
    assert_eq!(
        page.report,
        Some(RunReport::default()),
        "a first run reads nothing again"
    );
    let html = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{}", site.tenant, snapshot.id))
        .await;
    assert!(!html.contains("Read again"));
    let said = json!({ "read_again": { "change_time": { "files": 1, "bytes": 3000 } } });
    stack
        .change(&format!(
            "UPDATE runs SET report = '{said}' WHERE snapshot_id = '{}'",
            snapshot.id.as_uuid()
        ))
        .await;
    let html = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{}", site.tenant, snapshot.id))
        .await;
    assert!(html.contains("Read again") && html.contains("because only change times"));
}
