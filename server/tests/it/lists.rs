//! Lists of snapshots, runs and restores: every entry is on one page, whatever comes in meanwhile, and filters hold; with and without
//! JavaScript.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use reqwest::Method;
use serde::de::DeserializeOwned;
use shared::{
    api::{
        list::Page,
        view::{RestoreView, RunView, SnapshotView},
    },
    schedule::Schedule,
};

use crate::support::{Site, Stack};

/// So many of each.
const MANY: usize = 63;

/// A source with many snapshots, runs and restores, an hour apart, some of them at the same time; another source with one.
async fn fill(stack: &Stack, site: &Site) {
    std::fs::write(site.data.join("file"), "content").unwrap();
    let first = site.backup().await.unwrap();
    site.authorise(&stack.operator, first.id).await;
    let start = stack.clock.now() - SignedDuration::from_hours(24 * 30);
    let fill = format!(
        "INSERT INTO runs SELECT (r).* FROM (
             SELECT jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'snapshot_id', NULL, 'state', 'failed',
                 'error', 'example', 'created_at', timestamptz '{start}' + (n / 2) * interval '1 hour')) AS r
             FROM runs r, generate_series(1, {MANY} - 1) n) filled;
         INSERT INTO snapshots SELECT (s).* FROM (
             SELECT jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'seq', 1 + n,
                 'state', CASE WHEN n % 3 = 0 THEN 'expired' ELSE 'broken' END,
                 'expired_at', CASE WHEN n % 3 = 0 THEN timestamptz '{start}' + interval '20 days' END,
                 'received_at', timestamptz '{start}' + (n / 2) * interval '1 hour')) AS s
             FROM snapshots s, generate_series(1, {MANY} - 1) n) filled;
         INSERT INTO restores SELECT (r).* FROM (
             SELECT jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
                 'created_at', timestamptz '{start}' + (n / 2) * interval '1 hour')) AS r
             FROM restores r, generate_series(1, {MANY} - 1) n) filled;"
    );
    stack.change(&fill).await;
}

async fn walk<T: DeserializeOwned>(
    stack: &Stack,
    path: &str,
    filters: &str,
    id: impl Fn(&T) -> String,
) -> Vec<String> {
    let mut seen = Vec::new();
    let mut pages = Vec::new();
    let mut place = String::new();
    loop {
        let page: Page<T> = stack
            .operator
            .get(&format!("{path}?limit=10{filters}{place}"))
            .await
            .unwrap();
        assert!(page.items.len() <= 10);
        pages.push(page.items.iter().map(&id).collect::<Vec<_>>());
        seen.extend(page.items.iter().map(&id));
        let Some(older) = page.older else {
            break;
        };
        place = format!("&older={older}");
    }
    // And back, page by page, the same.
    let last: Page<T> = stack
        .operator
        .get(&format!("{path}?limit=10{filters}{place}"))
        .await
        .unwrap();
    let mut newer = last.newer;
    for expected in pages.iter().rev().skip(1) {
        let Some(place) = newer else {
            panic!("{path}: no way back to {expected:?}");
        };
        let page: Page<T> = stack
            .operator
            .get(&format!("{path}?limit=10{filters}&newer={place}"))
            .await
            .unwrap();
        assert_eq!(
            &page.items.iter().map(&id).collect::<Vec<_>>(),
            expected,
            "{path}"
        );
        newer = page.newer;
    }
    assert_eq!(newer, None, "{path}");
    assert_eq!(
        seen.iter().collect::<BTreeSet<_>>().len(),
        seen.len(),
        "{path}: an entry is there twice"
    );
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_on_one_page_newest_first() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let other = stack.site("other", Schedule::manual()).await;
    std::fs::write(other.data.join("file"), "content").unwrap();
    other.backup().await.unwrap();
    fill(&stack, &site).await;
    let path = |list: &str| format!("/tenants/{}/{list}", site.tenant);
    let snapshot = |snapshot: &SnapshotView| format!("{} {}", snapshot.received_at, snapshot.id);
    let run = |run: &RunView| format!("{} {}", run.created_at, run.id);
    let restore = |restore: &RestoreView| format!("{} {}", restore.created_at, restore.id);

    let all = walk(&stack, &path("snapshots"), "&expired=true", snapshot).await;
    assert_eq!(all.len(), MANY);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    let kept = walk(&stack, &path("snapshots"), "", snapshot).await;
    assert_eq!(kept.len(), MANY - (MANY - 1) / 3);
    let runs = walk(&stack, &path("runs"), "", run).await;
    assert_eq!(runs.len(), MANY);
    let restores = walk(&stack, &path("restores"), "", restore).await;
    assert_eq!(restores.len(), MANY);

    // What comes in while somebody reads moves nothing.
    let page: Page<RunView> = stack
        .operator
        .get(&format!("{}?limit=10", path("runs")))
        .await
        .unwrap();
    let now = format!("/tenants/{}/sources/{}/runs", site.tenant, site.source.id);
    let _: RunView = stack.operator.post(&now, &serde_json::json!({})).await.unwrap();
    let older = page.older.unwrap();
    let next: Page<RunView> = stack
        .operator
        .get(&format!("{}?limit=10&older={older}", path("runs")))
        .await
        .unwrap();
    assert_eq!(next.items.iter().map(run).collect::<Vec<_>>(), runs[10..20]);

    // Filters: a source, days, and both together with a place.
    let of_source = format!("&source={}", site.source.id);
    assert_eq!(
        walk(&stack, &path("restores"), &of_source, restore).await.len(),
        MANY
    );
    let of_another = format!("&source={}", other.source.id);
    assert_eq!(
        walk(&stack, &path("restores"), &of_another, restore).await.len(),
        0
    );
    let day = all[40].split('T').next().unwrap();
    let of_day = |entries: &[String]| entries.iter().filter(|entry| entry.starts_with(day)).count();
    let days = format!("&from={day}&to={day}{of_source}");
    for (list, expected) in [("runs", of_day(&runs)), ("restores", of_day(&restores))] {
        assert!(expected > 10 && expected < MANY, "{expected}");
        let found = match list {
            "runs" => walk(&stack, &path(list), &days, run).await,
            _ => walk(&stack, &path(list), &days, restore).await,
        };
        assert_eq!(found.len(), expected, "{list}");
    }
    // Another tenant's are not to be had, nor by its source.
    let foreign = format!(
        "/tenants/{}/snapshots?source={}&expired=true",
        other.tenant, site.source.id
    );
    let page: Page<SnapshotView> = stack.operator.get(&foreign).await.unwrap();
    assert_eq!(page.items, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_list_can_mean_is_refused_with_the_field() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let place = "7_00000000000000000000000000000007";
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("from=yesterday", "from"),
        ("from=2026-02-02&to=2026-02-01", "from"),
        ("source=acme", "source"),
        ("older=nowhere", "older"),
        (&format!("older={place}&newer={place}"), "older"),
        ("sources=all", "sources"),
    ] {
        for list in ["snapshots", "runs", "restores"] {
            let path = format!("/tenants/{}/{list}?{query}", site.tenant);
            let refused = stack.operator.get::<serde_json::Value>(&path).await.unwrap_err();
            assert_eq!(refused.status, 422, "{path}: {}", refused.message);
            assert!(refused.message.contains(word), "{path}: {}", refused.message);
        }
    }
    let nobody = crate::support::Session::nobody(&stack.url);
    let path = format!("/tenants/{}/snapshots", site.tenant);
    assert_eq!(nobody.send::<()>(Method::GET, &path, None).await.status(), 401);
}

/// The pages of the console, as a browser without JavaScript walks through them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_lead_to_every_entry_without_javascript() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    fill(&stack, &site).await;
    let base = format!("/tenants/{}", site.tenant);
    let list = |path: String, part: &'static str, pages: &'static str| {
        let operator = &stack.operator;
        async move {
            let mut path = path;
            let mut seen = BTreeSet::new();
            for _ in 0..MANY {
                let page = operator.html(&path).await;
                let links = page.match_indices(part);
                seen.extend(links.map(|(at, _)| page[at..].split('"').next().unwrap().to_owned()));
                // The link to older ones of this list, as a browser reads it.
                let pager = page
                    .split(pages)
                    .nth(1)
                    .and_then(|pager| pager.split("</nav>").next());
                let next = pager.and_then(|pager| pager.split("rel=\"next\"").nth(1));
                let Some(next) = next.and_then(|link| link.split("href=\"").nth(1)) else {
                    return seen;
                };
                path = next.split(['"', '#']).next().unwrap().replace("&amp;", "&");
            }
            panic!("{pages}: they do not end");
        }
    };
    let snapshots = list(
        format!("{base}/snapshots?expired=true"),
        "/snapshots/snp_",
        "Pages of snapshots",
    )
    .await;
    assert_eq!(snapshots.len(), MANY);
    let kept = list(
        format!("{base}/snapshots"),
        "/snapshots/snp_",
        "Pages of snapshots",
    )
    .await;
    assert_eq!(kept.len(), MANY - (MANY - 1) / 3);
    let runs = list(format!("{base}/activity"), "/runs/run_", "Pages of runs").await;
    assert_eq!(runs.len(), MANY);
    // An empty field of the form filters nothing; a wrong one is told.
    let page = stack
        .operator
        .html(&format!("{base}/snapshots?source=&from=&to="))
        .await;
    assert!(
        page.contains("/snapshots/snp_") && page.contains("<form method=\"get\""),
        "{page}"
    );
    let none = stack
        .operator
        .html(&format!("{base}/activity?from=2020-01-01&to=2020-01-02"))
        .await;
    assert!(
        none.contains("No such runs") && none.contains("No such restores"),
        "{none}"
    );
}
