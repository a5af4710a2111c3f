//! A permission to restore: for 24 hours, as often as wanted, until it is ended by hand.

use std::sync::Arc;

use agent::{
    progress::{Event, Observer},
    restore::{Order, Request},
    snapshot::Expected,
};
use jiff::SignedDuration;
use shared::{
    api::{
        agent::{Part, ReadsRequest, RestoreFinish, RestoreProgress, RestorePurpose, RestoreRequest},
        list::Page,
        view::{RestoreState, RestoreView},
    },
    ids::SnapshotId,
    limits::Limit,
    schedule::Schedule,
};

use crate::support::{Site, Stack};

async fn uses(stack: &Stack, site: &Site, permission: &RestoreView) -> Vec<RestoreView> {
    let page: Page<RestoreView> = stack.of_tenant(site, "/restores").await;
    let mut restores = page.items;
    restores.retain(|restore| restore.permission_id == Some(permission.id));
    restores
}

async fn one(stack: &Stack, site: &Site, restore: &RestoreView) -> RestoreView {
    stack.of_tenant(site, &format!("/restores/{}", restore.id)).await
}

async fn end(stack: &Stack, site: &Site, permission: &RestoreView) -> Result<RestoreView, String> {
    let path = format!("/tenants/{}/restores/{}/end", site.tenant, permission.id);
    let ended = stack.operator.post(&path, &serde_json::json!({})).await;
    ended.map_err(|refusal| refusal.code)
}

async fn begin(site: &Site, snapshot: SnapshotId) -> Result<shared::api::agent::RestoreWork, String> {
    let request = RestoreRequest {
        snapshot_id: snapshot,
        purpose: RestorePurpose::Restore,
    };
    site.client()
        .start_restore(&request)
        .await
        .map_err(|error| error.to_string())
}

async fn dry_run(site: &Site, snapshot: SnapshotId, to: &std::path::Path) {
    let request = Request {
        snapshot,
        paths: Vec::new(),
        order: Order {
            target: to.to_owned(),
            dry_run: true,
            ..Order::default()
        },
        expected: Expected::default(),
        commit_key: None,
    };
    agent::restore(
        &site.state,
        &request,
        &site.kit,
        Arc::new(agent::progress::Silent),
    )
    .await
    .unwrap();
}

/// With one row for the permission and its use, the second attempt was refused, and so was the first behind a dry run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restores_are_as_many_as_wanted_for_a_day() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap().id;
    let refused = begin(&site, snapshot).await.unwrap_err();
    assert!(refused.contains("Allow restores"), "{refused}");

    let permission = site.authorise(&stack.operator, snapshot).await;
    let to = |name: &str| stack.folder.path().join(name);
    dry_run(&site, snapshot, &to("dry")).await;
    // A typing mistake: the target is a file.
    std::fs::write(to("mistake"), "x").unwrap();
    site.restore(snapshot, &to("mistake")).await.unwrap_err();
    for name in ["first", "second"] {
        site.restore(snapshot, &to(name)).await.unwrap();
    }
    // Two at the same time.
    let (third, fourth) = (to("third"), to("fourth"));
    let (third, fourth) = tokio::join!(site.restore(snapshot, &third), site.restore(snapshot, &fourth));
    third.unwrap();
    fourth.unwrap();

    let made = uses(&stack, &site, &permission).await;
    // All of one instant: in no order.
    let count = |purpose, state| {
        let fits = made
            .iter()
            .filter(|made| (made.purpose, made.state) == (purpose, state));
        fits.count()
    };
    assert_eq!(made.len(), 6);
    assert_eq!(count(RestorePurpose::DryRun, RestoreState::Succeeded), 1);
    assert_eq!(count(RestorePurpose::Restore, RestoreState::Failed), 1);
    assert_eq!(count(RestorePurpose::Restore, RestoreState::Succeeded), 4);
    assert!(
        made.iter()
            .all(|made| made.expires_at == permission.expires_at && !made.is_permission())
    );
    let shown = one(&stack, &site, &permission).await;
    assert_eq!(shown.state, RestoreState::Authorised);
    assert!(shown.is_permission());
    // Allowing again while it lasts gives the same.
    assert_eq!(site.authorise(&stack.operator, snapshot).await.id, permission.id);
    let page = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{snapshot}", site.tenant))
        .await;
    for words in [
        "Allowed",
        "End the permission",
        "Dry run",
        "run as often as you want",
    ] {
        assert!(page.contains(words), "{words}");
    }

    stack.hold_rounds().await;
    stack.advance(SignedDuration::from_hours(24)).await;
    begin(&site, snapshot).await.unwrap_err();
    assert_eq!(one(&stack, &site, &permission).await.state, RestoreState::Expired);
    assert_eq!(end(&stack, &site, &permission).await.unwrap_err(), "restore_over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_ended_reads_nothing_more() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap().id;
    let permission = site.authorise(&stack.operator, snapshot).await;
    let work = begin(&site, snapshot).await.unwrap();
    let client = site.client();
    let reads = ReadsRequest {
        parts: vec![Part {
            object: work.manifest.hash,
            begin: 0,
            end: work.manifest.size_bytes,
        }],
    };
    client.restore_reads(work.restore_id, &reads).await.unwrap();
    // A use is no permission.
    let under_way = &uses(&stack, &site, &permission).await[0];
    assert_eq!(end(&stack, &site, under_way).await.unwrap_err(), "restore_over");

    let ended = end(&stack, &site, &permission).await.unwrap();
    assert_eq!(ended.state, RestoreState::Ended);
    client.restore_reads(work.restore_id, &reads).await.unwrap_err();
    let finish = RestoreFinish {
        progress: RestoreProgress::default(),
        error: None,
    };
    client.finish_restore(work.restore_id, &finish).await.unwrap_err();
    begin(&site, snapshot).await.unwrap_err();
    let stopped = &uses(&stack, &site, &permission).await[0];
    assert_eq!(stopped.state, RestoreState::Ended);
    assert!(stopped.error.as_ref().unwrap().ends_with("ended the permission."));
    assert_eq!(end(&stack, &site, &permission).await.unwrap_err(), "restore_over");
    let audited = "SELECT 1 FROM audit_events WHERE action = 'restore.end' AND detail ->> 'stopped' = '1'";
    assert_eq!(stack.query(audited).await.len(), 1);
    // Another one is another decision.
    let next = site.authorise(&stack.operator, snapshot).await;
    assert_ne!(next.id, permission.id);
    begin(&site, snapshot).await.unwrap();
}

/// The database itself lets no use be more than its permission, whatever the server asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_holds_a_use_to_its_permission() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let first = site.backup().await.unwrap().id;
    std::fs::write(site.data.join("file"), "other content").unwrap();
    let second = site.backup().await.unwrap().id;
    let permission = site.authorise(&stack.operator, first).await;
    let insert = async |snapshot: SnapshotId, hours: i32| {
        use sea_orm::ConnectionTrait as _;
        let sql = format!(
            "INSERT INTO restores (id, tenant_id, snapshot_id, agent_id, state, authorised_by, created_at, expires_at, permission_id) \
             SELECT gen_random_uuid(), tenant_id, '{}', agent_id, 'running', authorised_by, created_at, \
             expires_at + interval '{hours} hours', id FROM restores WHERE id = '{}'",
            snapshot.as_uuid(),
            permission.id.as_uuid()
        );
        stack.owner.execute_unprepared(&sql).await.is_ok()
    };
    assert!(insert(first, 0).await);
    assert!(!insert(first, 1).await, "longer");
    assert!(!insert(second, 0).await, "another snapshot");
    end(&stack, &site, &permission).await.unwrap();
    assert!(!insert(first, 0).await, "ended");
}

/// Rows of before are permission and use in one: what was allowed, or had begun, can still be begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_allowed_before_permissions_were_rows_of_their_own_still_is() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap().id;
    let old = site.authorise(&stack.operator, snapshot).await;
    stack.change("UPDATE restores SET state = 'running'").await;
    site.restore(snapshot, &stack.folder.path().join("back"))
        .await
        .unwrap();
    assert_eq!(uses(&stack, &site, &old).await.len(), 1);
    let page = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{snapshot}", site.tenant))
        .await;
    assert!(page.contains("End the permission"));
    assert_eq!(end(&stack, &site, &old).await.unwrap().state, RestoreState::Ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_cannot_begin_without_end() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap().id;
    let permission = site.authorise(&stack.operator, snapshot).await;
    let most = Limit::RestoresPerPermission.max();
    let fill = format!(
        "INSERT INTO restores (id, tenant_id, snapshot_id, agent_id, state, authorised_by, created_at, expires_at, permission_id) \
         SELECT gen_random_uuid(), tenant_id, snapshot_id, agent_id, 'succeeded', authorised_by, created_at, expires_at, id \
         FROM restores, generate_series(1, {}) WHERE id = '{}'",
        most - 1,
        permission.id.as_uuid()
    );
    stack.change(&fill).await;
    begin(&site, snapshot).await.unwrap();
    let refused = begin(&site, snapshot).await.unwrap_err();
    assert!(refused.contains("End the permission"), "{refused}");
}

/// Keeps until when restores are allowed, as the command line says it.
#[derive(Default)]
struct Told(std::sync::Mutex<Option<jiff::Timestamp>>);

impl Observer for Told {
    fn event(&self, event: &Event) {
        if let Event::RestoreStarted { allowed_until, .. } = event {
            *self.0.lock().unwrap() = Some(*allowed_until);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_is_told_until_when() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap().id;
    let permission = site.authorise(&stack.operator, snapshot).await;
    let told = Arc::new(Told::default());
    let request = Request {
        snapshot,
        paths: Vec::new(),
        order: Order {
            target: stack.folder.path().join("back"),
            ..Order::default()
        },
        expected: Expected::default(),
        commit_key: None,
    };
    agent::restore(&site.state, &request, &site.kit, told.clone())
        .await
        .unwrap();
    assert_eq!(*told.0.lock().unwrap(), Some(permission.expires_at));
}
