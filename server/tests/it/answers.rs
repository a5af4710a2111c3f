//! What a store may answer for a while without a backup failing for it.
//!
//! Each request of a commit is answered wrongly in six ways, once, twice and for 45 seconds. The backup is complete, and
//! nothing counts as missing afterwards.

use std::{fs, time::Duration};

use jiff::SignedDuration;
use lockbox::faults::{Action, On, Rule};
use shared::schedule::Schedule;

use crate::support::{Site, Stack};

/// The requests of a commit.
fn requests() -> [(&'static str, On); 6] {
    [
        (
            "HEAD of a new object",
            On::operation("HeadObject")
                .key("*/packs/*")
                .when(|seen| seen.parameter("versionId").is_none()),
        ),
        (
            "HEAD of an inherited object",
            On::operation("HeadObject").key("*/packs/*").query("versionId"),
        ),
        (
            "GET of the manifest",
            On::operation("GetObject").key("*/manifests/*"),
        ),
        ("PUT of a retention", On::operation("PutObjectRetention")),
        (
            "PUT of the commit record",
            On::operation("PutObject").key("*/commits/*"),
        ),
        ("listing", On::operation("ListObjectVersions")),
    ]
}

/// How often, or for how long.
#[derive(Debug, Clone, Copy)]
enum Span {
    Times(u64),
    Lasting(SignedDuration),
}

/// The site's first objects are to be asked for and extended by the next commit.
async fn age(stack: &Stack) {
    let now = stack.clock.now();
    let age = format!(
        "UPDATE objects SET confirmed_at = '{}', locked_until = '{}' WHERE born = 1 AND dropped IS NULL",
        now - SignedDuration::from_hours(48),
        now + SignedDuration::from_hours(48),
    );
    stack.change(&age).await;
}

async fn backs_up(stack: &Stack, site: &Site, what: &str, (on, action): (On, Action), span: Span) {
    fs::write(site.data.join("new"), format!("{what} {span:?}")).unwrap();
    age(stack).await;
    let faults = stack.lockbox.faults();
    let rule = Rule::new(on, action);
    let placed = faults.add(match span {
        Span::Times(times) => rule.times(times),
        Span::Lasting(_) => rule,
    });
    let end = async {
        while placed.hits() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if let Span::Lasting(span) = span {
            let end = stack.clock.now() + span;
            while stack.clock.now() < end {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            placed.remove();
        }
        std::future::pending::<()>().await;
    };
    let done = tokio::select! {
        done = site.backup_while_time_passes(stack) => done,
        () = end => unreachable!("it waits for ever"),
    };
    done.unwrap_or_else(|error| panic!("{what} {span:?}: {error}"));
    assert!(
        placed.hits() > 0,
        "{what} {span:?}: the commit asked no such thing"
    );
    faults.clear();
    let marked = "SELECT 1 FROM objects WHERE missing_since IS NOT NULL OR absent_askings > 0";
    assert!(stack.query(marked).await.is_empty(), "{what} {span:?}");
}

async fn the_table(answer: &str, action: impl Fn() -> Action) {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let stays: Vec<u8> = (0..50_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    fs::write(site.data.join("stays"), stays).unwrap();
    site.backup().await.unwrap();
    stack.hold_rounds().await;
    for (request, on) in requests() {
        for span in [
            Span::Times(1),
            Span::Times(2),
            Span::Lasting(SignedDuration::from_secs(45)),
        ] {
            let what = format!("{answer} to {request}");
            backs_up(&stack, &site, &what, (on.clone(), action()), span).await;
        }
    }
}

macro_rules! answers {
    ($($name:ident: $action:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                the_table(stringify!($name), || $action).await;
            }
        )*
    };
}

answers! {
    forbidden: Action::status(403, "AccessDenied");
    not_there: Action::NotThere;
    internal_error: Action::status(500, "InternalError");
    slow_down: Action::status(503, "SlowDown");
    an_empty_200: Action::Empty;
    a_web_page_with_200: Action::Html;
}
