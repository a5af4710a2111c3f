//! How far a run or a restore is.

use leptos::prelude::*;
use shared::api::{
    agent::{RestorePurpose, RunPhase, RunState},
    view::{RestoreState, RestoreView, RunView},
};

use super::time::At;
use crate::{clock::use_clock, format};

/// A run that is under way: phase, bar and figures.
#[component]
pub fn RunProgressView(
    /// The run.
    run: Signal<RunView>,
) -> impl IntoView {
    let silent = silence_of(run);
    let lost = is_lost(run);
    let phase = Memo::new(move |_| run.with(phase_of));
    let percent = Memo::new(move |_| run.with(percent_of));
    view! {
        <div class="progress">
            <p class="progress-phase" role="status">
                {move || match silent.get() {
                    Some(silent) => {
                        view! {
                            <span class="warn-text">
                                {move || {
                                    let lost = if lost.get() { "Lost: no word" } else { "No word" };
                                    format!("{lost} from the agent on {} for {silent}", run.with(|run| run.hostname.clone()))
                                }}
                            </span>
                        }
                            .into_any()
                    }
                    None => phase.get().into_any(),
                }}
            </p>
            {move || {
                silent
                    .get()
                    .map(|_| {
                        view! {
                            <p class="muted">
                                "Look whether the machine is up and reaches this server. The agent goes on by itself where it can; \
                                 otherwise the run ends, and the next one uses what was sent."
                            </p>
                        }
                    })
            }}
            {move || {
                run.with(|run| run.not_before)
                    .map(|at| {
                        view! {
                            <p class="muted">
                                "Not before " <At at /> ". The schedule's next run comes in any case; to have it now, back up now."
                            </p>
                        }
                    })
            }}
            <progress
                max="100"
                // A bar says that something moves, or is done.
                hidden=move || silent.get().is_some() || run.with(|run| run.state == RunState::Failed)
                aria-label=move || run.with(|run| format!("Backup of {}", run.source_name))
                value=move || percent.get().map(|percent| percent.to_string())
            ></progress>
            <p class="progress-figures">{move || run.with(figures_of)}</p>
        </div>
    }
    .into_any()
}

/// For how long nothing was heard of the agent that works on a run, when that is long.
pub fn silence_of(run: Signal<RunView>) -> Memo<Option<String>> {
    let clock = use_clock();
    Memo::new(move |_| {
        let now = clock.now_or_made()?;
        run.with(|run| run.silent_for(now)).map(format::silence)
    })
}

/// Whether that is so long that the run counts as lost until the agent is back.
pub fn is_lost(run: Signal<RunView>) -> Memo<bool> {
    let clock = use_clock();
    Memo::new(move |_| {
        let silent = clock
            .now_or_made()
            .and_then(|now| run.with(|run| run.silent_for(now)));
        silent.is_some_and(|silent| silent >= RunView::LOST_AFTER)
    })
}

fn phase_of(run: &RunView) -> String {
    let phase = run.progress.as_ref().map(|progress| progress.phase);
    match (run.state, phase) {
        (RunState::Queued, _) if run.not_before.is_some() => {
            format!("Waits for try {}", format::count(u64::from(run.retries) + 1))
        }
        (RunState::Queued, _) => format!("Waiting for the agent on {}", run.hostname),
        (RunState::Running, _) if run.stuck.is_some() => {
            run.stuck.as_ref().map_or_else(String::new, |stuck| {
                format!(
                    "Reading below {} since {}: is it a mount whose other side is gone?",
                    stuck.path,
                    format::counted(stuck.seconds / 60, "minute", "minutes")
                )
            })
        }
        (RunState::Running, Some(RunPhase::Finish)) => "Writing index and manifest".to_owned(),
        (RunState::Running, Some(RunPhase::Confirm)) | (RunState::Committing, _) => {
            "Asking S3 to confirm each lock".to_owned()
        }
        (RunState::Running, _) => "Reading, and sending what is new".to_owned(),
        (RunState::Locking, _) => "Extending locks that fall short".to_owned(),
        (RunState::Succeeded, _) => "Complete: every object is locked, confirmed by S3".to_owned(),
        (RunState::Failed, _) => "Failed: no snapshot was made".to_owned(),
    }
}

/// Of the part that is under way; `None` while there is nothing to measure by.
fn percent_of(run: &RunView) -> Option<u64> {
    match run.state {
        RunState::Queued | RunState::Failed => None,
        RunState::Succeeded => Some(100),
        RunState::Committing | RunState::Locking => {
            run.confirmed.map(|(done, total)| format::percent(done, total))
        }
        RunState::Running => {
            let progress = run.progress.as_ref()?;
            match progress.phase {
                RunPhase::Transfer => match progress.bytes_total {
                    Some(0) => progress
                        .files_total
                        .map(|total| format::percent(progress.files_done, total)),
                    Some(total) => Some(format::percent(progress.bytes_done, total)),
                    None => None,
                },
                RunPhase::Finish | RunPhase::Confirm => Some(100),
            }
        }
    }
}

fn figures_of(run: &RunView) -> AnyView {
    let of = |done: u64, total: Option<u64>| match total {
        Some(total) => format!("{} of {}", format::count(done), format::count(total)),
        None => format::count(done),
    };
    let progress = run.progress.as_ref().map(|progress| {
        let bytes = match progress.bytes_total {
            Some(total) => format!(
                "{} of {}",
                format::bytes(progress.bytes_done),
                format::bytes(total)
            ),
            None => format::bytes(progress.bytes_done),
        };
        view! {
            <span>
                <b>{of(progress.files_done, progress.files_total)}</b>
                {noun(progress.files_total.unwrap_or(progress.files_done), " file or folder", " files and folders")}
            </span>
            <span>
                <b>{bytes}</b>
                " looked at"
            </span>
            <span>
                <b>{format::bytes(progress.bytes_sent)}</b>
                " sent"
            </span>
            {(progress.warnings > 0)
                .then(|| {
                    view! {
                        <span class="warn-text">
                            {format::counted(progress.warnings, "warning", "warnings")}
                        </span>
                    }
                })}
        }
    });
    let confirmed = run.confirmed.map(|(done, total)| {
        view! {
            <span>
                <b>{of(done, Some(total))}</b>
                {noun(total, " object confirmed", " objects confirmed")}
            </span>
        }
    });
    view! {
        {progress}
        {confirmed}
    }
    .into_any()
}

/// What is counted, behind its count.
const fn noun(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// A restore that is under way.
#[component]
pub fn RestoreProgressView(
    /// The restore.
    restore: Signal<RestoreView>,
) -> impl IntoView {
    let phase = move || {
        restore.with(|restore| match restore.state {
            RestoreState::Authorised => "Allowed. Run the command on the machine.",
            RestoreState::Running => match restore.purpose {
                RestorePurpose::Restore => "Writing files back",
                RestorePurpose::DryRun => "Looking what would be written",
                RestorePurpose::Verification => "Looking whether everything is there",
            },
            RestoreState::Succeeded => match restore.purpose {
                RestorePurpose::Restore => "Everything asked for is back",
                RestorePurpose::DryRun => "Nothing was changed",
                RestorePurpose::Verification => "Everything was looked at",
            },
            RestoreState::Failed => "It failed",
            RestoreState::Expired => "The permission ran out",
            RestoreState::Ended => "The permission was ended by hand",
        })
    };
    let percent = move || {
        restore.with(|restore| {
            let progress = restore.progress.as_ref()?;
            Some(if progress.bytes_total == 0 {
                format::percent(progress.files_done, progress.files_total)
            } else {
                format::percent(progress.bytes_done, progress.bytes_total)
            })
        })
    };
    let figures = move || {
        restore.with(|restore| {
            restore.progress.as_ref().map(|progress| {
                let files = format!(
                    "{} of {}",
                    format::count(progress.files_done),
                    format::count(progress.files_total)
                );
                let bytes = format!(
                    "{} of {}",
                    format::bytes(progress.bytes_done),
                    format::bytes(progress.bytes_total)
                );
                view! {
                    <span>
                        <b>{files}</b>
                        {noun(progress.files_total, " file or folder", " files and folders")}
                    </span>
                    <span>
                        <b>{bytes}</b>
                        " written"
                    </span>
                }
            })
        })
    };
    let percent = Memo::new(move |_| percent().unwrap_or(0).to_string());
    let phase = Memo::new(move |_| phase());
    view! {
        <div class="progress">
            <p class="progress-phase" role="status">{move || phase.get()}</p>
            <progress max="100" aria-label="Restore" value=move || percent.get()></progress>
            <p class="progress-figures">{figures}</p>
        </div>
    }
    .into_any()
}
