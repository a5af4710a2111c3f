//! The others: whichever of them is installed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use super::phase::{BenchPaths, Phase};
use crate::{sh, stack::Stack};

/// Where restic and rustic keep their repositories. Their own object lock support is not used.
pub const BUCKET: &str = "bench-peers";
const PASSWORD: &str = "benchmark";

/// A program to compare with.
pub enum Peer {
    Restic(PathBuf),
    Rustic(PathBuf),
    /// Borg keeps its repository in a folder: it does not know S3.
    Borg(PathBuf),
}

/// For people.
pub fn names(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return "nobody: neither restic, rustic nor borg is installed".to_owned();
    }
    peers.iter().map(Peer::name).collect::<Vec<_>>().join(", ")
}

impl Peer {
    /// What is on PATH, or named by `HOLDFAST_BENCH_RESTIC`, `…_RUSTIC`, `…_BORG`.
    pub async fn installed() -> Vec<Self> {
        let program = |name: &str| {
            let named = std::env::var_os(format!("HOLDFAST_BENCH_{}", name.to_uppercase()));
            named.map(PathBuf::from).or_else(|| sh::find(name))
        };
        let peers = [
            program("restic").map(Self::Restic),
            program("rustic").map(Self::Rustic),
            program("borg").map(Self::Borg),
        ];
        let peers: Vec<Self> = peers.into_iter().flatten().collect();
        for peer in &peers {
            let mut command = Command::new(peer.program());
            command.arg(if matches!(peer, Self::Restic(_)) {
                "version"
            } else {
                "--version"
            });
            let version = sh::output(&mut command).await.unwrap_or_default();
            println!("  {}", version.trim());
        }
        peers
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Restic(_) => "restic",
            Self::Rustic(_) => "rustic",
            Self::Borg(_) => "borg",
        }
    }

    fn program(&self) -> &Path {
        let (Self::Restic(program) | Self::Rustic(program) | Self::Borg(program)) = self;
        program
    }

    /// The program with its repository and keys; what it is to do comes after.
    fn on_repository(&self, stack: &Stack, place: &BenchPaths<'_>) -> Command {
        let secrets = &stack.plan.secrets;
        let mut command = Command::new(self.program());
        command.env("HOME", place.scratch).env(
            "XDG_CACHE_HOME",
            place.scratch.join(format!("{}-cache", self.name())),
        );
        match self {
            Self::Restic(_) => {
                let repository = format!("s3:{}/{BUCKET}/restic-{}", stack.s3_endpoint(), place.name);
                command
                    .env("RESTIC_REPOSITORY", repository)
                    .env("RESTIC_PASSWORD", PASSWORD)
                    .env("AWS_ACCESS_KEY_ID", &secrets.s3_access_key)
                    .env("AWS_SECRET_ACCESS_KEY", &secrets.s3_secret_key)
                    .env("AWS_DEFAULT_REGION", "us-east-1");
            }
            Self::Rustic(_) => {
                command
                    .env("RUSTIC_REPOSITORY", "opendal:s3")
                    .env("RUSTIC_PASSWORD", PASSWORD)
                    .env("RUSTIC_NO_PROGRESS", "true")
                    .env("OPENDAL_BUCKET", BUCKET)
                    .env("OPENDAL_ROOT", format!("/rustic-{}", place.name))
                    .env("OPENDAL_ENDPOINT", stack.s3_endpoint())
                    .env("OPENDAL_REGION", "us-east-1")
                    .env("OPENDAL_ACCESS_KEY_ID", &secrets.s3_access_key)
                    .env("OPENDAL_SECRET_ACCESS_KEY", &secrets.s3_secret_key);
            }
            Self::Borg(_) => {
                command
                    .env("BORG_REPO", place.scratch.join("borg"))
                    .env("BORG_PASSPHRASE", PASSWORD);
            }
        }
        command
    }

    /// Makes an empty repository.
    pub async fn begin(&self, stack: &Stack, place: &BenchPaths<'_>) -> Result<()> {
        let mut command = self.on_repository(stack, place);
        match self {
            Self::Restic(_) | Self::Rustic(_) => {
                command.arg("init");
            }
            Self::Borg(_) => {
                command.args(["init", "--encryption", "repokey-blake2"]);
            }
        }
        sh::output(&mut command).await.map(|_| ())
    }

    /// What it is to do, with its own defaults.
    pub fn command(&self, stack: &Stack, place: &BenchPaths<'_>, phase: Phase) -> Command {
        let mut command = self.on_repository(stack, place);
        match (self, phase) {
            (Self::Restic(_), Phase::Restore) => {
                command.args(["restore", "latest", "--target"]).arg(place.target);
            }
            (Self::Rustic(_), Phase::Restore) => {
                command.args(["restore", "latest"]).arg(place.target);
            }
            (Self::Borg(_), Phase::Restore) => {
                // Borg restores to where it is started.
                let _ = std::fs::create_dir_all(place.target);
                command.current_dir(place.target).args(["extract", "::changed"]);
            }
            (Self::Restic(_) | Self::Rustic(_), _) => {
                command.arg("backup").arg(place.files);
            }
            (Self::Borg(_), phase) => {
                let archive = match phase {
                    Phase::First => "::first",
                    Phase::Unchanged => "::unchanged",
                    Phase::Changed | Phase::Restore => "::changed",
                };
                command
                    .args(["create", "--compression", "zstd,3", archive])
                    .arg(place.files);
            }
        }
        command
    }
}
