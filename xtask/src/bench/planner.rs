//! `cargo xtask bench planner`: plan, check and simulate by the clock, and Holdfast's rule against those of others in calls and
//! dollars.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use shared::{
    retention::{
        Baseline, Horizon, LockMode, Policy, Provider, RunNumbers, Simulation, Tier, Timeline, Workload,
        simulate, simulate_baseline,
    },
    schedule::{Recurrence, Schedule},
};
use tokio::process::Command;

use crate::{
    build, say,
    setup::{self, Need},
    sh,
    test::browser,
    workspace::Workspace,
};

/// Options of `cargo xtask bench planner`.
#[derive(clap::Args)]
pub struct Args {
    /// How often the browser simulates
    #[arg(long, default_value_t = 40)]
    rounds: u32,
    /// Only the table of calls and dollars, which needs no clock
    #[arg(long)]
    only_rivals: bool,
}

/// `cargo xtask bench planner`.
pub async fn command(args: &Args) -> Result<bool> {
    if !args.only_rivals {
        setup::ensure(&[Need::Compiler, Need::Wasm, Need::Node, Need::Chromium]).await?;
        let workspace = Workspace::load()?;
        native(&workspace).await?;
        in_browser(&workspace, args.rounds).await?;
    }
    baselines()?;
    tiers()?;
    Ok(true)
}

#[derive(Deserialize)]
struct Speed {
    plan_seconds: f64,
    check_seconds: f64,
    input_kib: u64,
    peak_kib: u64,
    refresh: u64,
    delete: u64,
}

async fn native(workspace: &Workspace) -> Result<()> {
    say::doing("Building the planner's measurement");
    let mut build = workspace.cargo();
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "-p",
        "shared",
        "--example",
        "planner_speed",
    ]);
    sh::run(&mut build).await?;
    let program = workspace.target.join("release/examples/planner_speed");
    println!("\n## plan and check, natively: 10,000,000 objects of one source with 1,000 snapshots\n");
    println!(
        "| ledger | plan | check | together | refreshed | deleted | memory with the input | of that the input |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (shape, means) in [
        ("steady", "every lock suffices"),
        ("raised", "every lock falls short"),
        ("groom", "a third is to go"),
    ] {
        let text = sh::output(Command::new(&program).arg(shape)).await?;
        let speed: Speed = serde_json::from_str(&text).context("planner_speed")?;
        println!(
            "| {means} | {:.2} s | {:.2} s | {:.2} s | {} | {} | {} | {} |",
            speed.plan_seconds,
            speed.check_seconds,
            speed.plan_seconds + speed.check_seconds,
            say::number(speed.refresh),
            say::number(speed.delete),
            say::bytes(speed.peak_kib * 1024),
            say::bytes(speed.input_kib * 1024),
        );
    }
    Ok(())
}

#[derive(Deserialize)]
struct InBrowser {
    milliseconds: Vec<f64>,
    days: usize,
    browser: String,
}

async fn in_browser(workspace: &Workspace, rounds: u32) -> Result<()> {
    let site = build::console(workspace).await?;
    let folder = workspace.root.join("end2end");
    let chromium = browser::chromium(&folder).await?;
    println!("\n## simulate, in the browser: a year of daily runs over a million objects\n");
    println!("| workload | browser | median | worst | days |");
    println!("|---|---|---:|---:|---:|");
    for (name, simulation) in [
        ("1 % churn a day, Q chosen", a_million()?),
        (
            "the same, with weekly, monthly and yearly tiers",
            with_tiers(a_million()?),
        ),
    ] {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), serde_json::to_vec(&simulation)?)?;
        let mut answer = run_in_browser(&folder, &site, &chromium, file.path(), rounds).await?;
        answer.milliseconds.sort_by(f64::total_cmp);
        let median = answer.milliseconds[answer.milliseconds.len() / 2];
        let worst = answer.milliseconds.last().copied().unwrap_or(median);
        println!(
            "| {name} | Chromium {} | {median:.1} ms | {worst:.1} ms | {} |",
            answer.browser, answer.days
        );
    }
    Ok(())
}

async fn run_in_browser(
    folder: &Path,
    site: &Path,
    chromium: &Path,
    simulation: &Path,
    rounds: u32,
) -> Result<InBrowser> {
    let mut node = Command::new("node");
    node.current_dir(folder)
        .arg("bench/simulate.js")
        .arg(site.join("pkg"))
        .arg(simulation)
        .arg(rounds.to_string())
        .env("CHROMIUM", chromium);
    let text = sh::output(&mut node).await?;
    serde_json::from_str(&text).context("bench/simulate.js")
}

/// A million packs of 16 MiB, 15 TiB in all, one hundredth replaced each day, daily runs, 90 days.
fn a_million() -> Result<Simulation> {
    Ok(Simulation {
        policy: Policy::new(90, LockMode::Compliance)?,
        provider: Provider::AWS_STANDARD,
        schedule: Schedule {
            recurrence: Recurrence::Day { hour: 2, minute: 30 },
            time_zone: "Europe/Berlin".to_owned(),
        },
        workload: Workload {
            objects: 1_000_000,
            object_bytes: 16 << 20,
            pieces_per_object: 1,
            growth_objects_per_day: 500.0,
            churn_per_day: 0.01,
            missed: RunNumbers::default(),
            unclean: RunNumbers::default(),
            run_deadline_hours: 24,
        },
        horizon: Horizon {
            start: "2026-01-01T00:00:00Z".parse()?,
            days: 365,
            upload_slots: 16,
        },
    })
}

fn with_tiers(mut simulation: Simulation) -> Simulation {
    use shared::retention::Period;
    let tiers = [(Period::Week, 180), (Period::Month, 365), (Period::Year, 1_095)];
    simulation.policy.tiers = tiers
        .into_iter()
        .map(|(every, retention_days)| Tier {
            every,
            retention_days,
        })
        .collect();
    simulation.policy.lock_cap_days = 2_000;
    simulation
}

/// One TiB in packs of 16 MiB with so many chunks each, one hundredth of the chunks replaced each day, daily runs, 90 days, for two
/// years.
fn one_tib(chunks: u32) -> Result<Simulation> {
    let mut simulation = a_million()?;
    simulation.workload.objects = (1 << 40) / simulation.workload.object_bytes;
    simulation.workload.pieces_per_object = chunks;
    simulation.workload.growth_objects_per_day = 0.0;
    simulation.horizon.days = 730;
    Ok(simulation)
}

/// Real data lies between two ends: chunks that change each by itself, and neighbours that always change together.
fn baselines() -> Result<()> {
    for (chunks, means) in [
        (16, "the chunks of a pack change each by itself"),
        (1, "the chunks of a pack change together"),
    ] {
        compare(&one_tib(chunks)?, means)?;
    }
    Ok(())
}

/// A tier against as many days for every snapshot.
fn tiers() -> Result<()> {
    use shared::retention::Period::{Day, Hour, Week};
    let daily = Recurrence::Day { hour: 2, minute: 0 };
    let hourly = Recurrence::Hour { minute: 0 };
    for (chunks, means, a_while) in [(1, "together", 365), (16, "each by itself", 90)] {
        println!("\n## tiers: 1 TiB, 1 % replaced a day, the chunks of a pack changing {means}\n");
        println!(
            "| policy | runs | days | refreshes an object-year | dollars a TiB and month | of that calls | keeps P1 |"
        );
        println!("|---|---|---:|---:|---:|---:|---|");
        for (retention_days, tier, runs, name, days) in [
            (30, None, &daily, "daily", 730),
            (30, Some((Day, 90)), &daily, "daily", 730),
            (30, Some((Week, 90)), &daily, "daily", 730),
            (90, None, &daily, "daily", 730),
            (7, Some((Hour, 14)), &hourly, "hourly", a_while),
            (14, None, &hourly, "hourly", a_while),
        ] {
            let mut simulation = one_tib(chunks)?;
            simulation.policy = Policy::new(retention_days, LockMode::Compliance)?;
            simulation.policy.lock_cap_days = 500;
            simulation.schedule = Schedule {
                recurrence: runs.clone(),
                time_zone: "UTC".to_owned(),
            };
            simulation.horizon.days = days;
            let mut policy = format!("N = {retention_days}");
            if let Some((every, retention_days)) = tier {
                simulation.policy.tiers = vec![Tier {
                    every,
                    retention_days,
                }];
                policy += &format!(", {every}/{retention_days}");
            }
            let timeline = simulate(&simulation)?;
            let totals = &timeline.totals;
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let touched =
                totals.refreshes as f64 / simulation.workload.objects as f64 / f64::from(days) * 365.0;
            println!(
                "| {policy} | {name} | {days} | {touched:.1} | {:.2} | {:.2} | {} |",
                totals.usd_per_tib_month,
                totals.call_usd_per_tib_month,
                if timeline.promises.kept() { "yes" } else { "no" },
            );
        }
    }
    Ok(())
}

fn compare(simulation: &Simulation, means: &str) -> Result<()> {
    println!(
        "\n## rules compared, where {means}: 1 TiB in packs of 16 MiB, 1 % replaced a day, daily runs, 90 days, two years, Amazon S3 prices\n"
    );
    println!(
        "| rule | refreshes a month | PUTs a month | sent a month | dollars a TiB and month | of that calls | keeps P1 | keeps P2 |"
    );
    println!("|---|---:|---:|---:|---:|---:|---|---|");
    let months = f64::from(simulation.horizon.days) * 12.0 / 365.0;
    row("Holdfast", months, &simulate(simulation)?);
    for (name, baseline) in [
        (
            "extend all at each daily maintenance",
            // In spring a day has 23 hours, and a maintenance that is left out then breaks P1.
            Baseline::ExtendAll { every_hours: 23 },
        ),
        ("extend what the newest needs at each run", Baseline::ExtendNewest),
        ("generations of 10 days", Baseline::Generations { days: 10 }),
        ("generations of 30 days", Baseline::Generations { days: 30 }),
        ("N and 10 days, extend below N", Baseline::Slack { days: 10 }),
        ("N and 30 days, extend below N", Baseline::Slack { days: 30 }),
        ("upload again what would lapse", Baseline::UploadAgain),
        ("lock at upload only", Baseline::UploadOnly),
    ] {
        row(name, months, &simulate_baseline(simulation, baseline)?);
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]
fn row(name: &str, months: f64, timeline: &Timeline) {
    let totals = &timeline.totals;
    let monthly = |count: u64| (count as f64 / months).round() as u64;
    let kept = match timeline.promises.first_short {
        _ if timeline.promises.kept() => "yes".to_owned(),
        Some(short) => format!("no: first the snapshot of day {}", short.day),
        None => "no".to_owned(),
    };
    let ahead = match timeline.promises.uncovered_snapshots {
        0 => "yes".to_owned(),
        snapshots => format!("no: locks too short for {snapshots} snapshots"),
    };
    println!(
        "| {name} | {} | {} | {} | {:.2} | {:.4} | {kept} | {ahead} |",
        say::number(monthly(totals.refreshes)),
        say::number(monthly(totals.puts)),
        say::bytes(monthly(totals.put_bytes)),
        totals.usd_per_tib_month,
        totals.call_usd_per_tib_month,
    );
}
