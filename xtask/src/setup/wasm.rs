//! Rust's standard library for WebAssembly: in the toolchain, from rustup, or built from Debian's sources.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use super::system::System;
use crate::{say, sh};

/// The target's name.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's toolchain for browsers: a rustc, its cargo, and the sources of exactly that version.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// What this workspace wants at least.
const OLDEST: (u32, u32) = (1, 95);

/// Who compiles the console.
pub enum Toolchain {
    /// The toolchain that runs xtask; it has the target.
    Same,
    /// The system's cargo and rustc, which build the standard library as well.
    System {
        /// Its compiler.
        rustc: PathBuf,
        /// Its cargo.
        cargo: PathBuf,
        /// The linker for WebAssembly.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Looks for one, the simple one first. `HOLDFAST_WASM_TOOLCHAIN=system` skips it.
    pub async fn find() -> Option<Self> {
        if !system_is_wanted() && target_in_sysroot().await {
            return Some(Self::Same);
        }
        let (rustc, cargo) = (PathBuf::from("/usr/bin/rustc"), PathBuf::from("/usr/bin/cargo"));
        let linker = wasm_linker()?;
        if !sh::is_executable(&cargo) || version(&rustc).await? < OLDEST {
            return None;
        }
        let sysroot = sysroot(&rustc).await?;
        let sources = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
        sources.is_file().then_some(Self::System { rustc, cargo, linker })
    }

    /// What distinguishes what it builds.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::System { .. } => "system",
        }
    }
}

/// Puts the target in place.
pub async fn ensure(system: &mut System) -> Result<()> {
    if Toolchain::find().await.is_some() {
        return Ok(());
    }
    if !system_is_wanted() {
        say::doing("Installing Rust's WebAssembly target: the console runs in the browser");
        match add_with_rustup().await {
            Ok(()) => return Ok(()),
            Err(error) => println!("  rustup could not: {}", first_line(&error)),
        }
    }
    say::doing(
        "Installing Debian's Rust for browsers (rustc-web, its sources, lld): the console is built with it",
    );
    install_debian(system).await.with_context(|| {
        format!("the console needs Rust's WebAssembly target: `rustup target add {TARGET}` puts it in place")
    })
}

async fn add_with_rustup() -> Result<()> {
    let rustup = sh::find("rustup").context("there is no rustup on PATH")?;
    // In a network that swallows packets rustup would wait for minutes.
    sh::output_within(
        Duration::from_secs(120),
        Command::new(rustup).args(["target", "add", TARGET]),
    )
    .await?;
    if !target_in_sysroot().await {
        bail!("rustup succeeded, but the compiler does not have the target");
    }
    Ok(())
}

async fn install_debian(system: &mut System) -> Result<()> {
    let linkers = ["lld-22", "lld-21", "lld-20", "lld-19"];
    if !system.knows(&DEBIAN).await {
        system.update().await?;
    }
    let mut packages = DEBIAN.to_vec();
    if wasm_linker().is_none() {
        let mut offered = None;
        for linker in linkers {
            if system.knows(&[linker]).await {
                offered = Some(linker);
                break;
            }
        }
        packages.push(offered.unwrap_or("lld-19"));
    }
    system.install(&packages).await?;
    if Toolchain::find().await.is_none() {
        bail!(
            "Debian's rustc is too old ({}.{} or newer is wanted) or came without its sources",
            OLDEST.0,
            OLDEST.1
        );
    }
    Ok(())
}

fn system_is_wanted() -> bool {
    std::env::var("HOLDFAST_WASM_TOOLCHAIN").is_ok_and(|wanted| wanted == "system")
}

async fn target_in_sysroot() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Some(sysroot) = sysroot(Path::new(&rustc)).await else {
        return false;
    };
    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::read_dir(library)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
}

async fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let text = sh::output(Command::new(rustc).args(["--print", "sysroot"]))
        .await
        .ok()?;
    Some(PathBuf::from(text.trim()))
}

async fn version(rustc: &Path) -> Option<(u32, u32)> {
    parse_version(&sh::output(Command::new(rustc).arg("--version")).await.ok()?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `wasm-ld`, or the newest of Debian's `wasm-ld-NN`.
fn wasm_linker() -> Option<PathBuf> {
    let mut numbered: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/bin")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry
                .file_name()
                .to_str()?
                .strip_prefix("wasm-ld-")?
                .parse()
                .ok()?;
            Some((number, entry.path()))
        })
        .filter(|(number, _)| *number >= 19)
        .collect();
    numbered.sort();
    numbered
        .pop()
        .map(|(_, path)| path)
        .or_else(|| sh::find("wasm-ld"))
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            parse_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(
            parse_version("rustc 1.97.0-nightly (abc 2026-01-01)"),
            Some((1, 97))
        );
        assert_eq!(parse_version("nonsense"), None);
    }
}
