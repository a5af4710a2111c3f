//! The contract on lockbox, and on lockbox behind something that fails now and then.

use bucket::{
    S3Client,
    contract::{CHECKS, Fixture, Store, Verdict, run, summary},
};
use lockbox::faults::{Action, On, Placed, Rule};

use crate::support::{Lab, client, now};

async fn holds(client: &S3Client) {
    let fixture = Fixture::make(client, "contract", now()).await.unwrap();
    let told = run(&fixture, Store::Lockbox).await;
    let (_, lines) = summary(&told);
    let broken = told
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Broken(_)));
    assert_eq!(broken.count(), 0, "{}", lines.join("\n"));
    assert_eq!(told.len(), CHECKS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lockbox_keeps_the_contract() {
    let lab = Lab::start().await;
    holds(&lab.store).await;
}

/// One request in so many fails, each time in another way, and succeeds when it is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_pass_change_no_result() {
    let lab = Lab::start().await;
    let faults = lab.lockbox.faults();
    let mut placed: Vec<(String, Placed)> = Vec::new();
    let mut add = |operation: &str, nth: u64, action: Action| {
        // Signed addresses are used by plain clients, which do not try again.
        let on = On::operation(operation)
            .when(|seen| !seen.key.as_deref().unwrap_or_default().starts_with("signed/"));
        let name = format!("{operation} {nth}: {action:?}");
        placed.push((name, faults.add(Rule::new(on, action).after(nth).times(1))));
    };
    for (operation, every) in [
        ("PutObject", 6),
        ("PutObjectRetention", 2),
        ("HeadObject", 5),
        ("GetObject", 4),
        ("ListObjectVersions", 4),
        ("DeleteObjects", 2),
        ("GetBucketVersioning", 2),
    ] {
        let mut actions = vec![
            Action::status(503, "SlowDown"),
            Action::Drop,
            Action::Html,
            Action::status(500, "InternalError"),
        ];
        // A HEAD has no body for a code. Of those inside a 200 the SDK repeats throttling alone; the others are for the caller.
        if operation != "HeadObject" {
            actions.push(Action::error_inside("SlowDown"));
        }
        // An empty success to a PutObjectRetention is what S3 answers.
        if operation != "PutObjectRetention" {
            actions.push(Action::Empty);
        }
        // What is done and not answered is done again, to the same effect; a PUT would add a version.
        if operation != "PutObject" {
            actions.push(Action::DropAfter);
        }
        if operation == "GetObject" {
            actions.push(Action::Cut { at_bytes: 3 });
            actions.push(Action::DropInBody { after_bytes: 2 });
        }
        for (nth, action) in (0u64..).zip(actions) {
            add(operation, nth * every, action);
        }
    }
    for (nth, action) in [(0, Action::WholeForRange), (3, Action::ShiftedRange { bytes: 1 })] {
        let on = On::operation("GetObject").when(|seen| seen.key.as_deref() == Some("read/range"));
        let name = format!("range {nth}: {action:?}");
        placed.push((name, faults.add(Rule::new(on, action).after(nth).times(1))));
    }
    holds(&client(lab.lockbox.endpoint(), 4)).await;
    let unused: Vec<&String> = placed
        .iter()
        .filter(|(_, placed)| placed.hits() == 0)
        .map(|(name, _)| name)
        .collect();
    assert!(unused.is_empty(), "faults that met no request: {unused:?}");
}
