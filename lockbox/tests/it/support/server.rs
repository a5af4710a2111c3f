//! The binary, started for a test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use aws_sdk_s3::Client;

use super::lab::{ACCESS_KEY, SECRET_KEY, client_config};

/// A running binary; killed when dropped.
pub struct Server {
    child: Child,
    pub endpoint: String,
}

pub fn command(data: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockbox"));
    command.arg("--listen").arg(listen).arg("--data").arg(data);
    command
        .env("LOCKBOX_ACCESS_KEY", ACCESS_KEY)
        .env("LOCKBOX_SECRET_KEY", SECRET_KEY);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    pub fn start(data: &Path) -> Self {
        let mut child = command(data, "127.0.0.1:0")
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let endpoint = line
            .trim()
            .strip_prefix("lockbox listening on ")
            .expect(&line)
            .to_owned();
        Self { child, endpoint }
    }

    pub fn client(&self) -> Client {
        Client::from_conf(client_config(&self.endpoint).build())
    }

    /// By its own process id, as `kill` does.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
