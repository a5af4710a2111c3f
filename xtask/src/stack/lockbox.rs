//! lockbox as a stack's S3 endpoint.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    common::{READY_WITHIN, private},
    secrets::Secrets,
};
use crate::{
    clock,
    process::{Managed, Signal},
};

/// It runs until it is dropped.
pub struct Lockbox {
    process: Managed,
    data: PathBuf,
}

impl Lockbox {
    /// Starts it on a port, with its data in the stack's folder.
    pub async fn start(program: &Path, folder: &Path, secrets: &Secrets, port: u16) -> Result<Self> {
        let data = folder.join("lockbox");
        private(&data)?;
        let log = folder.join("logs/lockbox.log");
        // What an earlier run said must not be taken for this one's word.
        let _ = fs::remove_file(&log);
        let mut command = Command::new(program);
        command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .arg("--data")
            .arg(&data)
            .env("LOCKBOX_ACCESS_KEY", &secrets.s3_access_key)
            .env("LOCKBOX_SECRET_KEY", &secrets.s3_secret_key);
        let mut process = Managed::spawn("lockbox", &mut command, &log)?;
        let ready = clock::poll(READY_WITHIN, Duration::from_millis(20), async || {
            process.must_run()?;
            Ok(process.has_said("lockbox listening on").then_some(()))
        })
        .await?;
        match ready {
            Some(()) => Ok(Self { process, data }),
            None => bail!(
                "lockbox was not ready within {} s:\n{}",
                READY_WITHIN.as_secs(),
                process.tail(15)
            ),
        }
    }

    /// The process.
    pub fn process(&self) -> &Managed {
        &self.process
    }

    /// An error when it has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        self.process.must_run()
    }

    /// How many requests of each kind it has let in so far.
    pub async fn calls(&mut self) -> Result<BTreeMap<String, u64>> {
        const LINE: &str = "lockbox calls ";
        let before = self.process.count(LINE);
        self.process.tell(Signal::USR1)?;
        let said = clock::poll(READY_WITHIN, Duration::from_millis(1), async || {
            self.process.must_run()?;
            Ok((self.process.count(LINE) > before).then(|| self.process.last(LINE)))
        })
        .await?;
        let line = said.flatten().context("lockbox does not tell its calls")?;
        let pairs = line.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(operation, count)| Ok((operation.to_owned(), count.parse()?)))
            .collect()
    }

    /// How much it keeps.
    pub fn stored_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in walkdir::WalkDir::new(self.data.join("blobs")) {
            let entry = entry?;
            if entry.file_type().is_file() {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }
}
