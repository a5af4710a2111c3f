//! `holdfast plan` and `holdfast simulate`: the planner for a shell. No database, no network: a file in, verdicts out.

use std::{
    fmt::Write as _,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use shared::{
    retention::{
        Day, PlanFile, PlanFileError, PlanReport, SimulateError, Simulation, Timeline, gb, simulate,
    },
    words::counted,
};

/// Why a file gives no answer. One line, which names the field and the reason.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{}: {error}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not the JSON that is expected.
    #[error("{path}: {error}")]
    Malformed {
        /// The field's path in the file.
        path: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// It is, and contradicts itself.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
    /// It asks for years that cannot be.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

/// Plans what the file holds; `-` is standard input.
///
/// # Errors
/// See [`FileError`].
pub fn plan_file(path: &Path, now: Timestamp) -> Result<PlanReport, FileError> {
    Ok(parse::<PlanFile>(&read(path)?)?.report(now)?)
}

/// Simulates what the file holds; `-` is standard input.
///
/// # Errors
/// See [`FileError`].
pub fn simulate_file(path: &Path) -> Result<Timeline, FileError> {
    Ok(simulate(&parse::<Simulation>(&read(path)?)?)?)
}

fn read(path: &Path) -> Result<String, FileError> {
    let unreadable = |error| FileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    if path != Path::new("-") {
        return fs::read_to_string(path).map_err(unreadable);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, FileError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| FileError::Malformed {
        path: match error.path().to_string() {
            root if root == "." => "the file".to_owned(),
            path => path,
        },
        error: error.into_inner(),
    })?;
    json.end().map_err(|error| FileError::Malformed {
        path: "the file".to_owned(),
        error,
    })?;
    Ok(value)
}

/// A timeline as a table for people: each thirtieth day, what happened first, and the sums.
#[must_use]
pub fn timeline_table(timeline: &Timeline) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |parts: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{parts}");
    };
    line(format_args!(
        "{:>6} {:>9} {:>12} {:>12} {:>11} {:>11} {:>11} {:>9}  could be emptied on",
        "DAY", "SNAPSHOTS", "GB STORED", "GB LOCKED", "PUTS", "REFRESHES", "DELETES", "USD"
    ));
    for month in timeline.days.chunks(30) {
        let sum = |of: fn(&Day) -> u64| month.iter().map(of).sum::<u64>();
        let usd: f64 = month.iter().map(|day| day.usd.sum()).sum();
        if let Some(last) = month.last() {
            line(format_args!(
                "{:>6} {:>9} {:>12.1} {:>12.1} {:>11} {:>11} {:>11} {usd:>9.2}  {}",
                last.day,
                last.snapshots,
                gb(last.bytes_stored),
                gb(last.bytes_locked),
                sum(|day| day.puts),
                sum(|day| day.refreshes),
                sum(|day| day.deletes),
                last.emptiable_on
                    .map_or("now".to_owned(), |date| date.to_string()),
            ));
        }
    }
    for event in &timeline.events {
        line(format_args!("day {:>4}: first {}", event.day, name(&event.kind)));
    }
    let totals = &timeline.totals;
    line(format_args!(
        "in all: {:.2} USD, {:.2} for each TiB and month, {:.4} of that for calls",
        totals.usd.sum(),
        totals.usd_per_tib_month,
        totals.call_usd_per_tib_month
    ));
    text
}

/// The report as a table for people.
#[must_use]
pub fn table(report: &PlanReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |parts: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{parts}");
    };
    let days = counted(u64::from(report.lock_ahead_days), "day", "days");
    line(format_args!("look-ahead: {days}"));
    line(format_args!(
        "\n{:<16} {:>8}  {:<8} {:<22} reasons",
        "SOURCE", "SNAPSHOT", "VERDICT", "PROTECTED UNTIL"
    ));
    for snapshot in &report.snapshots {
        let reasons: Vec<String> = snapshot.reasons.iter().map(name).collect();
        line(format_args!(
            "{:<16} {:>8}  {:<8} {:<22} {}",
            snapshot.source,
            snapshot.seq.get(),
            snapshot.verdict,
            snapshot.protected_until.to_string(),
            reasons.join(", ")
        ));
    }
    line(format_args!(
        "\n{:<16} {:<24} {:<12} {:<22} {:<22} for",
        "SOURCE", "OBJECT", "VERDICT", "NEEDED UNTIL", "UNTIL"
    ));
    let date = |date: Option<Timestamp>| date.map_or("–".to_owned(), |date| date.to_string());
    for object in &report.objects {
        line(format_args!(
            "{:<16} {:<24} {:<12} {:<22} {:<22} {}",
            object.source,
            object.id,
            object.verdict,
            date(object.need),
            date(object.until),
            object.need_for.as_ref().map_or("–".to_owned(), name)
        ));
    }
    for violation in &report.violations {
        line(format_args!("violation: {violation}"));
    }
    text
}

/// A unit variant's name in JSON.
fn name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn example() -> Value {
        json!({
            "policy": {"retention_days": 90, "mode": "compliance", "time_zone": "UTC",
                       "tiers": [{"every": "week", "retention_days": 365}],
                       "keep_last": 1, "lock_ahead_days": 14, "grace_hours": 24, "lock_cap_days": 800},
            "provider": {"strategy": "retain_until", "can_extend": true, "min_storage_days": 0,
                         "put_usd_per_1000": 0.005, "head_usd_per_1000": 0.0004, "storage_usd_per_gb_month": 0.023},
            "sources": [{"id": "s1", "retired": false, "interval_hours": 168, "next_due": "2026-01-08T00:00:00Z",
                "snapshots": [{"seq": 1, "received_at": "2026-01-01T00:00:00Z", "state": "complete", "tiers": ["week"],
                               "protected_until": "2027-01-01T00:00:00Z", "pinned": false}],
                "objects": [{"id": "o1", "bytes": 16_777_216, "live_bytes": 16_777_216, "state": "live", "born": 1,
                             "dropped": null, "locked_until": "2027-01-16T00:00:00Z"}]}]
        })
    }

    fn report(file: &Value, now: &str) -> Result<PlanReport, String> {
        let file: PlanFile = parse(&file.to_string()).map_err(|error| error.to_string())?;
        file.report(now.parse().unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_contract_holds() {
        let held = report(&example(), "2026-01-01T12:00:00Z").unwrap();
        assert_eq!(
            serde_json::to_value(&held).unwrap(),
            json!({
                "snapshots": [{"source": "s1", "seq": 1, "verdict": "keep", "protected_until": "2027-01-01T00:00:00Z",
                               "reasons": ["within_retention", "stored_promise", "tier", "last_good"]}],
                "objects": [{"source": "s1", "id": "o1", "verdict": "hold", "need": "2027-01-01T00:00:00Z",
                             "need_for": "protection", "until": null}],
                "lock_ahead_days": 14,
                "violations": []
            })
        );
        // A year on and no run since: the last good snapshot rolls, N + grace from now and Q on top.
        let rolled = report(&example(), "2027-02-01T00:00:00Z").unwrap();
        let object = serde_json::to_value(&rolled.objects[0]).unwrap();
        assert_eq!(object["verdict"], "refresh");
        assert_eq!(object["need"], "2027-05-03T00:00:00Z");
        assert_eq!(object["until"], "2027-05-17T00:00:00Z");
        assert!(table(&rolled).contains("last_good"));
    }

    /// Each change, and what the one line must hold.
    #[test]
    fn bad_input_names_the_field() {
        let at = |path: &str, value: Value| {
            let mut file = example();
            let (parent, field) = path.rsplit_once('/').unwrap();
            file.pointer_mut(parent).unwrap()[field] = value;
            file
        };
        let object = "/sources/0/objects/0";
        let mut twice = example();
        let again = twice["sources"][0]["snapshots"][0].clone();
        twice["sources"][0]["snapshots"]
            .as_array_mut()
            .unwrap()
            .push(again);
        let cases = [
            (
                at("/policy/surprise", json!(1)),
                "policy.surprise: unknown field `surprise`",
            ),
            (at("/policy", json!({})), "policy: missing field `retention_days`"),
            (
                at("/policy/retention_days", json!(0)),
                "policy.retention_days: 0 is out of range",
            ),
            (
                at("/policy/retention_days", json!(-1)),
                "policy.retention_days: invalid value: integer `-1`",
            ),
            (
                at("/policy/retention_days", json!(36_865)),
                "policy.retention_days: 36865 is out of range",
            ),
            (
                at("/policy/time_zone", json!("Mars/Olympus")),
                "policy.time_zone: there is no time zone \"Mars/Olympus\"",
            ),
            (
                at("/policy/lock_ahead_days", json!("often")),
                "policy.lock_ahead_days: invalid value",
            ),
            (
                at("/policy/lock_cap_days", json!(100)),
                "policy.lock_cap_days: 100 is out of range; use 365 to",
            ),
            (
                at("/policy/keep_last", json!(0)),
                "policy.keep_last: 0 is out of range",
            ),
            (
                at(
                    "/policy/tiers",
                    json!([{"every": "day", "retention_days": 9}, {"every": "day", "retention_days": 8}]),
                ),
                "policy.tiers: day is named twice",
            ),
            (
                at("/provider/put_usd_per_1000", json!(-0.1)),
                "provider.put_usd_per_1000: -0.1 is not a price",
            ),
            (
                at("/sources/0/interval_hours", json!(0)),
                "sources[0].interval_hours: 0 is no distance",
            ),
            (
                at("/sources/0/snapshots/0/seq", json!(0)),
                "sources[0].snapshots[0].seq: invalid value: integer `0`",
            ),
            (twice, "sources[0].snapshots[1].seq: 1 does not follow 1"),
            (
                at(&format!("{object}/dropped"), json!(1)),
                "sources[0].objects[0].dropped: 1 must be above born (1)",
            ),
            (
                at(&format!("{object}/born"), Value::Null),
                "sources[0].objects[0].born: null",
            ),
            (
                at(&format!("{object}/locked_until"), json!("2199-01-01T00:00:00Z")),
                "sources[0].objects[0].locked_until: 2199-01-01T00:00:00Z is more than lock_cap_days (800) ahead",
            ),
            (
                at(&format!("{object}/locked_until"), json!("soon")),
                "sources[0].objects[0].locked_until: ",
            ),
            (
                at(&format!("{object}/live_bytes"), json!(16_777_217)),
                "sources[0].objects[0].live_bytes: 16777217 is more than",
            ),
        ];
        for (file, expected) in cases {
            let error = report(&file, "2026-01-01T12:00:00Z").expect_err(expected);
            assert!(
                error.starts_with(expected),
                "{error}\nshould begin with\n{expected}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(parse::<PlanFile>("{} {}").is_err());
        assert!(
            parse::<PlanFile>("")
                .unwrap_err()
                .to_string()
                .starts_with("the file: ")
        );
    }
}
