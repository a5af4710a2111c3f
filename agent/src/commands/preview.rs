//! `preview`: what a source would take and leave out.

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use agent::{
    backup::preview::{Amount, Item, ItemKind, LeftOutBy, PreviewTotals, Previewed, What, preview},
    client::Client,
    state::State,
};
use anyhow::{Context, bail};
use clap::Args;
use shared::{
    api::agent::SourceSpec,
    source_paths::SourcePaths,
    words::{bytes, counted},
};

use super::exit;
use crate::{args::StateArg, cli};

/// What to look at, and how much to say
#[derive(Args)]
pub struct PreviewArgs {
    #[command(flatten)]
    state: StateArg,
    /// A source's name or id; not needed when this endpoint has only one
    #[arg(long, value_name = "NAME|ID", conflicts_with = "paths")]
    source: Option<String>,
    /// Look at this path in the place of a source's; may be repeated. The server is not asked then
    #[arg(long = "path", value_name = "P")]
    paths: Vec<String>,
    /// An exclude line, in gitignore syntax; may be repeated. Comes after those of the source
    #[arg(long = "exclude", value_name = "LINE")]
    excludes: Vec<String>,
    /// Stay on one file system
    #[arg(long)]
    one_file_system: bool,
    /// Leave out network mounts, as sources do that do not include them
    #[arg(long)]
    leave_out_network_mounts: bool,
    /// Only list what would be left out
    #[arg(long, conflicts_with = "totals")]
    left_out: bool,
    /// List nothing, only say the totals
    #[arg(long)]
    totals: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

pub async fn run(args: PreviewArgs, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let what = what(&args).await?;
    let stopped = Arc::new(AtomicBool::new(false));
    let walk = tokio::task::spawn_blocking({
        let stopped = stopped.clone();
        move || {
            let state_folder = args.state.folder.exists().then_some(args.state.folder.as_path());
            let mut tell = |previewed: Previewed| {
                // A reader that went away wants no more.
                if line(&previewed, &args).is_some_and(|line| !cli::is_printed(&line)) {
                    stopped.store(true, Relaxed);
                }
            };
            let totals = preview(&what, state_folder, &stopped, &mut tell)?;
            tell_totals(&totals, args.json);
            anyhow::Ok(totals)
        }
    });
    let mut walk = std::pin::pin!(walk);
    let totals = tokio::select! {
        totals = &mut walk => totals,
        () = stop => {
            stopped.store(true, Relaxed);
            walk.await
        }
    };
    let totals = totals.context("the walk")??;
    Ok(exit(totals.is_whole && totals.unreadable == 0))
}

/// What to look at: of the command line, or of the server, with what the command line adds.
async fn what(args: &PreviewArgs) -> anyhow::Result<What> {
    let mut what = if args.paths.is_empty() {
        What::from(of_server(&args.state.folder, args.source.as_deref()).await?)
    } else {
        What {
            paths: args.paths.clone(),
            ..What::default()
        }
    };
    // As the console reads what is typed there.
    let typed = SourcePaths::read(what.paths.clone(), args.excludes.clone())?;
    what.paths = typed.paths;
    what.excludes.extend(typed.excludes);
    what.options.one_file_system |= args.one_file_system;
    what.options.leave_out_network_mounts |= args.leave_out_network_mounts;
    Ok(what)
}

/// A source of this endpoint, asked of the server.
async fn of_server(state: &Path, wanted: Option<&str>) -> anyhow::Result<SourceSpec> {
    let state = State::open(state)?;
    let sources = Client::new(state.config())?.sources().await.context(
        "the server does not say what the source is; with --path and --exclude it need not be asked",
    )?;
    let names = || {
        let names: Vec<String> = sources
            .iter()
            .map(|source| format!("`{}`", source.name))
            .collect();
        names.join(", ")
    };
    match wanted {
        Some(text) => {
            let is_it = |source: &&SourceSpec| source.id.to_string() == text || source.name == text;
            let found = sources.iter().find(is_it).cloned();
            found.with_context(|| format!("this endpoint has no source `{text}`; it has {}", names()))
        }
        None => match sources.as_slice() {
            [only] => Ok(only.clone()),
            [] => bail!("this endpoint has no source yet; give --path to look at a folder"),
            _ => bail!(
                "this endpoint has several sources; choose one with --source: {}",
                names()
            ),
        },
    }
}

/// What is said of it, if anything.
fn line(previewed: &Previewed, args: &PreviewArgs) -> Option<String> {
    let is_wanted = match previewed {
        Previewed::Taken(_) => !args.left_out && !args.totals,
        Previewed::LeftOut { .. } => !args.totals,
        Previewed::Unreadable { .. } => true,
    };
    if !is_wanted {
        return None;
    }
    if args.json {
        return Some(cli::json(previewed));
    }
    Some(match previewed {
        Previewed::Taken(item) => format!("take   {}{}", shown(item), size(item)),
        Previewed::LeftOut { item, by } => format!("leave  {}{}  {}", shown(item), size(item), why(by)),
        Previewed::Unreadable { path, why } => format!("unreadable  {path}  {why}"),
    })
}

fn shown(item: &Item) -> String {
    let slash = if item.kind == ItemKind::Folder && item.path != "/" {
        "/"
    } else {
        ""
    };
    format!("{}{slash}", item.path)
}

fn size(item: &Item) -> String {
    match item.kind {
        ItemKind::File => format!("  {}", bytes(item.size_bytes)),
        ItemKind::Folder | ItemKind::Link | ItemKind::Other => String::new(),
    }
}

fn why(by: &LeftOutBy) -> String {
    match by {
        LeftOutBy::Line { line, pattern } => format!("by exclude line {line}: {pattern}"),
        LeftOutBy::NotIncluded => "no include pattern takes it".to_owned(),
        LeftOutBy::Size => "larger than the source takes".to_owned(),
        LeftOutBy::Mount { why } => format!("empty: {why}"),
        LeftOutBy::Kind => "a device, pipe or socket".to_owned(),
        LeftOutBy::State => "this agent's own state".to_owned(),
    }
}

fn tell_totals(totals: &PreviewTotals, json: bool) {
    if json {
        let line = serde_json::json!({ "event": "totals", "totals": totals });
        cli::print(&cli::json(&line));
        return;
    }
    cli::print("");
    if !totals.is_whole {
        cli::print("stopped: what follows is of the part that was looked at");
    }
    cli::print(&format!("would be taken:    {}", amount(&totals.taken)));
    cli::print(&format!(
        "would be left out: {}; folders with everything in them",
        amount(&totals.left_out)
    ));
    if totals.unreadable > 0 {
        cli::print(&format!(
            "unreadable:        {}",
            counted(totals.unreadable, "name", "names")
        ));
    }
    for line in &totals.lines {
        let (number, pattern) = (line.line, &line.pattern);
        if let Some(why) = &line.unread {
            cli::print(&format!(
                "exclude line {number} leaves out nothing, {why}: {pattern}"
            ));
        } else if line.is_unmatched {
            let of = if totals.is_whole { "" } else { " so far" };
            cli::print(&format!("exclude line {number} matches nothing{of}: {pattern}"));
        } else if line.left_out != Amount::default() {
            cli::print(&format!(
                "exclude line {number} leaves out {}: {pattern}",
                amount(&line.left_out)
            ));
        }
    }
}

fn amount(amount: &Amount) -> String {
    let mut words = format!(
        "{}, {}, {}",
        counted(amount.files, "file", "files"),
        bytes(amount.bytes),
        counted(amount.folders, "folder", "folders")
    );
    if amount.others > 0 {
        words.push_str(&format!(
            ", {}",
            counted(amount.others, "other name", "other names")
        ));
    }
    words
}
