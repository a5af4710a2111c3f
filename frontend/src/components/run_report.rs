//! What a run said of its source: what was read again, lines that match nothing, and that nothing was taken.

use leptos::prelude::*;
use shared::api::report::{FilesRead, ReadAgain, RunReport};

use super::{
    figures::{Bytes, Counted},
    icon::{Icon, Sign},
};

/// An entry of a list of facts; none when nothing was read again.
#[component]
pub fn ReadAgainFact(report: Option<RunReport>) -> impl IntoView {
    let read_again = report.map(|report| report.read_again).unwrap_or_default();
    (!read_again.is_empty()).then(|| view! { <Facts read_again /> })
}

#[component]
fn Facts(read_again: ReadAgain) -> impl IntoView {
    let ReadAgain { inode, change_time } = read_again;
    let because =
        |read: FilesRead, why: &'static str| (read.files > 0).then(|| view! { <Because read why /> });
    view! {
        <div>
            <dt>"Read again"</dt>
            <dd>
                {because(inode, "because inode numbers changed")}
                {because(change_time, "because only change times, owners or permissions changed")}
                <p class="hint">
                    "Their sizes and modification times were as before. Nothing of it was sent again."
                </p>
            </dd>
        </div>
    }
}

#[component]
fn Because(read: FilesRead, why: &'static str) -> impl IntoView {
    view! {
        <p>
            <Bytes size=read.bytes />
            " ("
            <Counted value=read.files one="file" many="files" />
            "), "
            {why}
        </p>
    }
}

/// That a snapshot has no file although there was something.
#[component]
pub fn NothingTaken(
    /// Which backup, at the beginning of a sentence.
    which: &'static str,
) -> impl IntoView {
    view! {
        <div class="notice warn" role="status">
            <Icon sign=Sign::Warning />
            <p>
                {which}
                " took 0 files: everything that is there is left out by exclude lines or options of the source. \
                 Look with holdfast-agent preview on the machine, and make the source anew without what leaves it out."
            </p>
        </div>
    }
}

/// Exclude lines that do nothing.
#[component]
pub fn IdleExcludes(
    /// They matched nothing.
    unmatched: Vec<String>,
    /// The agent could not read them.
    unread: Vec<String>,
) -> impl IntoView {
    let some = !unmatched.is_empty() || !unread.is_empty();
    let list = |lines: Vec<String>, words: &'static str| {
        (!lines.is_empty()).then(|| view! { <Lines lines words /> })
    };
    some.then(|| {
        view! {
            <div class="notice warn" role="status">
                <Icon sign=Sign::Warning />
                <div>
                    {list(unread, "These exclude lines could not be read, so what they were to keep out is backed up:")}
                    {list(
                        unmatched,
                        "These exclude lines matched nothing in the newest backup. What they were to keep out may be in it, under another name:",
                    )}
                </div>
            </div>
        }
    })
}

/// So many lines are shown; the others are in the details.
const SHOWN: usize = 5;

#[component]
fn Lines(lines: Vec<String>, words: &'static str) -> impl IntoView {
    let item = |line: &String| view! { <li class="mono">{line.clone()}</li> };
    let more = lines.len().saturating_sub(SHOWN);
    view! {
        <p>{words}</p>
        <ul>{lines.iter().take(SHOWN).map(item).collect_view()}</ul>
        {(more > 0)
            .then(|| {
                view! {
                    <details>
                        <summary>
                            <Counted value=more as u64 one="more line" many="more lines" />
                        </summary>
                        <ul>{lines.iter().skip(SHOWN).map(item).collect_view()}</ul>
                    </details>
                }
            })}
    }
}
