//! Medians and ratios.

use super::{
    holdfast,
    measure::Figures,
    phase::{Phase, Results},
};
use crate::say;

/// Prints one table for each thing that is measured.
#[allow(clippy::cast_precision_loss)]
pub fn print(title: &str, results: &Results) {
    println!("\n## {title}\n");
    println!(
        "| | engine | median s | best | worst | ours is … × as fast | CPU s | ours takes 1/… of it | peak memory | stored | ours stores … % of it | S3 calls |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|");
    for (phase, name) in Phase::ALL {
        let ours = figures(results, holdfast::NAME, phase);
        let our_bytes = bytes(&ours, |figures| figures.stored_bytes);
        let our_cpu = median(&ours, |figures| figures.cpu_seconds);
        let ours = median(&ours, |figures| figures.seconds);
        for engine in results.keys() {
            let all = figures(results, engine, phase);
            let seconds = median(&all, |figures| figures.seconds);
            let sorted = sorted(&all, |figures| figures.seconds);
            let cpu = median(&all, |figures| figures.cpu_seconds);
            let stored = bytes(&all, |figures| figures.stored_bytes);
            let share = if *engine == holdfast::NAME || stored == 0 {
                "–".to_owned()
            } else {
                format!("{:.1}", our_bytes as f64 / stored as f64 * 100.0)
            };
            let ratio = |theirs: f64, ours: f64| {
                if *engine == holdfast::NAME {
                    "–".to_owned()
                } else {
                    format!("{:.2}", theirs / ours)
                }
            };
            println!(
                "| {name} | {engine} | {seconds:.2} | {:.2} | {:.2} | {} | {cpu:.2} | {} | {} | {} | {} | {} |",
                sorted.first().copied().unwrap_or(0.0),
                sorted.last().copied().unwrap_or(0.0),
                ratio(seconds, ours),
                ratio(cpu, our_cpu),
                say::bytes(bytes(&all, |figures| figures.peak_bytes)),
                say::bytes(stored),
                share,
                calls(all.last()),
            );
        }
    }
    println!();
}

fn figures(results: &Results, engine: &str, phase: Phase) -> Vec<Figures> {
    let of_engine = results.get(engine);
    of_engine
        .and_then(|phases| phases.get(&phase))
        .cloned()
        .unwrap_or_default()
}

fn sorted(all: &[Figures], of: impl Fn(&Figures) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = all.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(all: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let values = sorted(all, of);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The middle one; of an even number, the larger one of both.
fn bytes(all: &[Figures], of: impl Fn(&Figures) -> u64) -> u64 {
    let mut values: Vec<u64> = all.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn calls(figures: Option<&Figures>) -> String {
    let calls = figures.map(|figures| figures.calls.iter()).into_iter().flatten();
    calls
        .map(|(operation, count)| format!("{operation} {}", say::number(*count)))
        .collect::<Vec<_>>()
        .join(", ")
}
