//! Promise P10: two walls between tenants, each tried without the other.

use holdfast_server::{
    db, random,
    scope::{Manager, Person},
    secrets,
};
use reqwest::{Method, StatusCode};
use sea_orm::ConnectionTrait;
use shared::{
    api::{
        operation::{self, Level},
        operations,
        view::{BucketCheckReport, BucketFindingKind, Me, TenantSummary},
    },
    ids::{TenantId, UserId},
    schedule::Schedule,
};

use crate::support::{Session, Site, Stack};

/// A technician of one tenant.
pub async fn technician(stack: &Stack, tenant: TenantId, role: &str) -> (Me, Session) {
    let id = UserId::from_uuid(random::uuid(stack.clock.now()));
    let email = format!("{role}-{}@example.test", id.as_uuid().simple());
    let password = "a technician's password";
    let hash = secrets::hash_password(password).unwrap();
    stack
        .owner
        .execute_unprepared(&format!(
            "INSERT INTO users VALUES ('{0}', '{email}', '{hash}', false, now());
             SET app.tenant_id = '{1}';
             INSERT INTO memberships VALUES ('{1}', '{0}', '{role}', now());",
            id.as_uuid(),
            tenant.as_uuid()
        ))
        .await
        .unwrap();
    let session = Session::sign_in(&stack.url, &email, password).await.unwrap();
    (
        Me {
            id,
            email,
            operator: false,
        },
        session,
    )
}

/// The path of an operation, with ids of `site`. An id that has no case here fails the test.
fn path_of(operation: &operation::Description, ids: &[(&str, String)]) -> String {
    let path = ids.iter().fold(operation.path.to_owned(), |path, (name, id)| {
        path.replace(&format!("{{{name}}}"), id)
    });
    assert!(!path.contains('{'), "{}: {path} has no case here", operation.name);
    path
}

fn method_of(operation: &operation::Description) -> Method {
    match operation.method {
        operation::Method::Get => Method::GET,
        operation::Method::Post => Method::POST,
        operation::Method::Delete => Method::DELETE,
    }
}

/// A body that every POST route can read.
fn body(site: &Site) -> serde_json::Value {
    let account = stack_json(&site.set.storage_account_id);
    serde_json::json!({
        "name": "x", "endpoint": "http://127.0.0.1:9", "region": "r", "access_key": "a", "secret_key": "s",
        "path_style": true, "storage_account_id": account, "bucket": "b", "prefix": "", "create_bucket": false,
        "immutable_retention": true, "retention_days": 1, "mode": "compliance", "recovery_key": "k",
        "backup_set_id": site.set.id, "agent_id": site.source.agent_id, "paths": ["/x"], "judgement": "good",
        "schedule": { "recurrence": { "every": "manual" }, "time_zone": "UTC" },
    })
}

fn stack_json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_shows_or_touches_another_tenant() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let other: TenantSummary = stack
        .operator
        .post("/tenants", &serde_json::json!({ "name": "other" }))
        .await
        .unwrap();
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap();
    let restore = site.authorise(&stack.operator, snapshot.id).await;
    let runs: serde_json::Value = stack.of_tenant(&site, "/runs").await;
    let run = runs["items"][0]["id"].as_str().unwrap();
    let ids = [
        ("tenant", site.tenant.to_string()),
        ("set", site.set.id.to_string()),
        ("source", site.source.id.to_string()),
        ("run", run.to_owned()),
        ("snapshot", snapshot.id.to_string()),
        ("restore", restore.id.to_string()),
    ];
    let of_tenants: Vec<_> = operations::ALL
        .iter()
        .filter(|operation| operation.path.starts_with("/tenants/"))
        .collect();
    assert_eq!(
        of_tenants.len(),
        22,
        "an operation of a tenant was added: look at its case here"
    );
    // Routes come from the table alone.
    for source in [
        include_str!("../../src/http/api.rs"),
        include_str!("../../src/http/operations.rs"),
    ] {
        assert!(!source.contains("/tenants"), "a route that is no operation");
    }

    let (_, stranger) = technician(&stack, other.id, "technician").await;
    let (_, auditor) = technician(&stack, site.tenant, "auditor").await;
    let nobody = Session::nobody(&stack.url);
    for operation in of_tenants {
        let (method, path) = (method_of(operation), path_of(operation, &ids));
        let body = (method == Method::POST).then(|| body(&site));
        let status = |session: Session| {
            let (method, path, body) = (method.clone(), path.clone(), body.clone());
            async move { session.send(method, &path, body.as_ref()).await.status() }
        };
        assert_eq!(
            status(nobody.clone()).await,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        assert_eq!(
            status(stranger.clone()).await,
            StatusCode::NOT_FOUND,
            "{method} {path}"
        );
        // The stranger's own tenant in the address does not help either.
        let moved = path.replace(&site.tenant.to_string(), &other.id.to_string());
        if moved.matches('_').count() > 1 {
            let answer = stranger
                .send(method.clone(), &moved, body.as_ref())
                .await
                .status();
            assert_eq!(answer, StatusCode::NOT_FOUND, "{method} {moved}");
        }
        let expected = match operation.level {
            Level::View => StatusCode::OK,
            Level::Manage => StatusCode::FORBIDDEN,
            level => panic!("{}: {level:?} in a tenant", operation.name),
        };
        assert_eq!(
            operation.level == Level::View,
            method == Method::GET,
            "{method} {path}: whoever looks changes nothing"
        );
        assert_eq!(status(auditor.clone()).await, expected, "{method} {path}");
    }
    let seen: Vec<TenantSummary> = stranger.get("/tenants").await.unwrap();
    assert_eq!(
        seen.iter().map(|tenant| tenant.id).collect::<Vec<_>>(),
        [other.id]
    );
    assert_eq!(
        stranger
            .post::<TenantSummary>("/tenants", &serde_json::json!({ "name": "mine" }))
            .await
            .unwrap_err()
            .status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_of_the_instance_ask_for_their_access() {
    let stack = Stack::start().await;
    let tenant: TenantSummary = stack
        .operator
        .post("/tenants", &serde_json::json!({ "name": "acme" }))
        .await
        .unwrap();
    let (_, owner) = technician(&stack, tenant.id, "owner").await;
    let nobody = Session::nobody(&stack.url);
    let body = serde_json::json!({ "name": "x", "email": "e", "password": "p" });
    let ids = [("notice", "ntc_00000000000000000000000000000000".to_owned())];
    for operation in operations::ALL
        .iter()
        .filter(|operation| !operation.path.starts_with("/tenants/"))
    {
        let (method, path) = (method_of(operation), path_of(operation, &ids));
        let body = (method == Method::POST).then_some(&body);
        let expected = match operation.level {
            // The session has tests of its own.
            Level::Anyone => continue,
            Level::SignedIn => StatusCode::OK,
            Level::Operate => StatusCode::FORBIDDEN,
            level => panic!("{}: {level:?} without a tenant", operation.name),
        };
        assert_eq!(
            nobody.send(method.clone(), &path, body).await.status(),
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        assert_eq!(
            owner.send(method.clone(), &path, body).await.status(),
            expected,
            "{method} {path}"
        );
    }
}

/// The second wall: a query without any condition, in the wrong tenant's transaction, finds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_level_security_holds_without_the_scope() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap();
    let other: TenantSummary = stack
        .operator
        .post("/tenants", &serde_json::json!({ "name": "other" }))
        .await
        .unwrap();
    let (me, _) = technician(&stack, other.id, "owner").await;
    let foreign = Manager::authorise(&stack.app.db, Person::of_session(me.clone()), other.id)
        .await
        .unwrap();
    let tx = stack.app.db.tenant(&foreign.scope).await.unwrap();
    assert!(db::snapshots::find(&tx, snapshot.id).await.unwrap().is_none());
    assert!(db::sources::find(&tx, site.source.id).await.unwrap().is_none());
    assert!(db::agents::all(&tx).await.unwrap().is_empty());
    assert!(db::ledger::all(&tx, site.source.id).await.unwrap().is_empty());
    // The sweep of the commit has ended, and its report is its tenant's alone.
    stack.settle().await;
    let own_tx = stack.source_tx(&site).await;
    assert_eq!(
        db::sweeps::of_source(&own_tx, site.source.id)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        db::sweeps::of_source(&tx, site.source.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(db::sweeps::newest(&tx).await.unwrap().is_empty());
    let spare = db::groom::SpareVersion {
        key: "key".into(),
        version_id: "version".into(),
        size_bytes: 1,
        locked_until: stack.clock.now(),
    };
    db::groom::add_spares(&own_tx, site.source.id, std::slice::from_ref(&spare))
        .await
        .unwrap();
    own_tx.commit().await.unwrap();
    assert!(
        db::groom::spares(&tx, site.source.id, None, None)
            .await
            .unwrap()
            .is_empty()
    );
    // The ledger forgets nothing that was not set to `deleting` before, in its own tenant either.
    let own_tx = stack.source_tx(&site).await;
    db::groom::forget_spare(&own_tx, site.source.id, &spare)
        .await
        .unwrap();
    assert_eq!(
        db::groom::spares(&own_tx, site.source.id, None, None)
            .await
            .unwrap(),
        [spare]
    );
    drop(own_tx);
    // What a bucket's check found is its tenant's alone too.
    let own_tx = stack.tx(&site).await;
    let check = db::checks::BucketCheck {
        backup_set_id: site.set.id,
        began_at: stack.clock.now(),
        ended_at: stack.clock.now(),
        report: BucketCheckReport::default(),
    };
    db::checks::add(&own_tx, &check).await.unwrap();
    let finding = db::checks::NewFinding {
        kind: BucketFindingKind::Missing,
        source_id: site.source.id,
        key: "key".into(),
        version_id: "version".into(),
        needed: true,
        detail: String::new(),
    };
    let now = stack.clock.now();
    db::checks::set_findings(&own_tx, site.set.id, std::slice::from_ref(&finding), now)
        .await
        .unwrap();
    own_tx.commit().await.unwrap();
    assert!(db::checks::newest(&tx, site.set.id).await.unwrap().is_none());
    assert!(db::checks::newest_of_all(&tx).await.unwrap().is_empty());
    assert!(
        db::checks::findings(&tx, site.set.id, None)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(db::checks::due(&tx, stack.clock.now()).await.unwrap().is_empty());
    // Another tenant's check clears nothing of it, and plans nothing for it.
    db::checks::set_findings(&tx, site.set.id, &[], now + jiff::SignedDuration::from_secs(1))
        .await
        .unwrap();
    db::checks::set_next(&tx, site.set.id, now).await.unwrap();
    let own_tx = stack.tx(&site).await;
    assert_eq!(
        db::checks::findings(&own_tx, site.set.id, None)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        db::checks::due(&own_tx, now)
            .await
            .unwrap()
            .iter()
            .all(|(_, next)| next.is_none())
    );
    drop(own_tx);
    // Writing a row of another tenant is refused by the database itself.
    let operator = Me { operator: true, ..me };
    let own = Manager::authorise(&stack.app.db, Person::of_session(operator), site.tenant)
        .await
        .unwrap();
    let own_tx = stack.app.db.tenant(&own.scope).await.unwrap();
    let source = db::sources::find(&own_tx, site.source.id).await.unwrap().unwrap();
    let smuggled = db::sources::Source {
        id: shared::ids::SourceId::from_uuid(random::uuid(stack.clock.now())),
        ..source
    };
    assert!(db::sources::add(&tx, &smuggled).await.is_err());
    // Every table that has a tenant is bound, also for the schema's owner.
    let unbound = stack
        .owner
        .query_all_raw(sea_orm::Statement::from_string(
            stack.owner.get_database_backend(),
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
               AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        ))
        .await
        .unwrap();
    assert!(unbound.is_empty(), "{unbound:?}");
}
