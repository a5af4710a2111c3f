//! Unit, property and integration tests of the whole workspace, with a Postgres of their own.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::Result;

use super::count::{Count, of_cargo_test, of_nextest};
use crate::{
    sh,
    stack::{postgres::Postgres, secrets},
    workspace::Workspace,
};

/// What is tested together. xtask is apart: with it cargo would choose other features for nearly every dependency,
/// and compile all of them again.
const PACKAGES: [&[&str]; 2] = [&["--workspace", "--exclude", "xtask"], &["--package", "xtask"]];

/// How many times more cases and rounds the tests of random input run with `--long` (`shared/tests/it/rounds.rs`).
const LONG_FACTOR: u32 = 10;

/// Runs them. Each test that wants a database makes its own in the cluster that
/// `HOLDFAST_TEST_DATABASE_URL` names.
pub async fn run(workspace: &Workspace, long: bool, rest: &[String]) -> Result<Count> {
    let folder = tempfile::Builder::new().prefix("holdfast-test-").tempdir()?;
    // Postgres runs as another user when root tests.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let log = folder.path().join("postgres.log");
    let postgres = Postgres::start(folder.path(), &secrets::random(16)?, false, &log).await?;

    let nextest = sh::find("cargo-nextest").is_some();
    let mut count = Count::default();
    for packages in PACKAGES {
        let mut command = workspace.cargo();
        command.env("HOLDFAST_TEST_DATABASE_URL", postgres.url("postgres"));
        if long {
            command.env("HOLDFAST_TEST_ROUNDS", LONG_FACTOR.to_string());
        }
        let lockbox = workspace.target.join("debug/lockbox");
        if sh::is_executable(&lockbox) {
            command.env("HOLDFAST_LOCKBOX", lockbox);
        }
        if nextest {
            command
                .args(["nextest", "run", "--no-fail-fast", "--no-tests", "pass"])
                .args(packages)
                .args(rest);
        } else {
            command
                .args(["test", "--no-fail-fast"])
                .args(packages)
                .arg("--")
                .args(rest);
        }
        let (success, text) = sh::run_and_keep(&mut command).await?;
        let found = if nextest {
            of_nextest(&text)
        } else {
            of_cargo_test(&text)
        };
        count = count.and(found.confirmed_by(success));
    }
    if nextest && rest.is_empty() {
        // nextest leaves the examples in the documentation out.
        let mut command = workspace.cargo();
        command.args(["test", "--quiet", "--workspace", "--exclude", "xtask", "--doc"]);
        let (success, text) = sh::run_and_keep(&mut command).await?;
        count = count.and(of_cargo_test(&text).confirmed_by(success));
    }
    Ok(count)
}
