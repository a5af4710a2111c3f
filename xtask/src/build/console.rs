//! The console for the browser: WebAssembly, its JavaScript, the style sheet and the assets, in one folder.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, write::GzEncoder};
use wasm_bindgen_cli_support::Bindgen;

use super::stamp::Stamp;
use crate::{
    say,
    setup::wasm::{TARGET, Toolchain},
    sh,
    workspace::Workspace,
};

/// The name of the files; leptos' `output_name`. Without cargo-leptos it looks for `frontend_bg.wasm`.
const NAME: &str = "frontend";
const PROFILE: &str = "wasm-release";

/// Builds it, or finds it built. Gives the folder to serve.
pub async fn build(workspace: &Workspace) -> Result<PathBuf> {
    let site = workspace.target.join("site");
    let pkg = site.join("pkg");
    fs::create_dir_all(&pkg)?;
    let toolchain = Toolchain::find()
        .await
        .context("no WebAssembly target: run `cargo xtask setup`")?;

    let mut stamp = Stamp::new();
    stamp.text(toolchain.name());
    for input in ["frontend", "shared", "repository", "Cargo.toml", "Cargo.lock"] {
        stamp.tree(&workspace.root.join(input))?;
    }
    let stamp = stamp.finish();
    let stamp_file = site.join("wasm.stamp");
    let up_to_date = fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp)
        && pkg.join(format!("{NAME}_bg.wasm")).is_file()
        && pkg.join(format!("{NAME}.js")).is_file();
    if !up_to_date {
        say::doing("Building the console for the browser");
        let module = compile(workspace, &toolchain).await?;
        bind(&module, &pkg)?;
        fs::write(&stamp_file, stamp)?;
    }

    style(&workspace.root.join("style"), &pkg)?;
    copy_tree(&workspace.root.join("style/assets"), &site)?;
    Ok(site)
}

async fn compile(workspace: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let mut target = workspace.target.clone();
    let mut command = match toolchain {
        Toolchain::Same => workspace.cargo(),
        Toolchain::System { rustc, cargo, linker } => {
            // Two toolchains in one folder would rebuild each other's work.
            target.push("wasm-system");
            let mut command = tokio::process::Command::new(cargo);
            command
                .current_dir(&workspace.root)
                .env_remove("LEPTOS_OUTPUT_NAME")
                .env_remove("CARGO")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            command
        }
    };
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "frontend",
            "--lib",
            "--features",
            "hydrate",
        ])
        .args(["--target", TARGET, "--profile", PROFILE])
        .arg("--target-dir")
        .arg(&target);
    if matches!(toolchain, Toolchain::System { .. }) {
        command.arg("-Zbuild-std=std,panic_abort");
    }
    sh::run(&mut command).await.context("building the console")?;
    Ok(target.join(TARGET).join(PROFILE).join(format!("{NAME}.wasm")))
}

fn bind(module: &Path, pkg: &Path) -> Result<()> {
    // What an earlier console had and this one has not must not be served.
    fs::remove_dir_all(pkg)?;
    fs::create_dir_all(pkg)?;
    Bindgen::new()
        .input_path(module)
        .out_name(NAME)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(pkg)
        .context("wasm-bindgen")?;
    let wasm = pkg.join(format!("{NAME}_bg.wasm"));
    if !wasm.is_file() {
        bail!("wasm-bindgen did not write {}", wasm.display());
    }
    compress(&wasm)?;
    compress(&pkg.join(format!("{NAME}.js")))?;
    println!(
        "  {} of WebAssembly, {} compressed",
        say::bytes(fs::metadata(&wasm)?.len()),
        say::bytes(fs::metadata(pkg.join(format!("{NAME}_bg.wasm.gz")))?.len())
    );
    Ok(())
}

/// Joins the style sheets in the order of their names.
fn style(folder: &Path, pkg: &Path) -> Result<()> {
    let mut sheets: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    sheets.retain(|file| file.extension().is_some_and(|extension| extension == "css"));
    sheets.sort();
    let mut all = String::new();
    for sheet in sheets {
        all.push_str(&fs::read_to_string(&sheet).with_context(|| sheet.display().to_string())?);
        all.push('\n');
    }
    let out = pkg.join(format!("{NAME}.css"));
    fs::write(&out, all)?;
    compress(&out)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1).into_iter().flatten() {
        let out = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&out)?;
        } else {
            fs::copy(entry.path(), &out).with_context(|| out.display().to_string())?;
        }
    }
    Ok(())
}

/// Writes `file.gz` beside `file`, which the server prefers.
fn compress(file: &Path) -> Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    let mut encoder = GzEncoder::new(File::create(&name)?, Compression::best());
    encoder.write_all(&fs::read(file)?)?;
    encoder.finish()?;
    Ok(())
}
