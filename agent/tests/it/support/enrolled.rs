//! An agent that is enrolled with a server on a loopback port.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent::{
    backup::BackupError,
    progress::Silent,
    restore::{Order, Request, RestoreError},
    snapshot::Expected,
};
use repository::recovery::Fingerprint;
use shared::ids::SnapshotId;

use super::server::{Server, TOKEN};

/// A folder of files, an agent that is enrolled with a server, and its kit.
pub struct World {
    pub folder: tempfile::TempDir,
    pub server: Server,
    pub fingerprint: Fingerprint,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = agent::keygen(&folder.path().join("kit")).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let server = Server::start(key.clone(), &[&data]).await;
        Self {
            folder,
            server,
            fingerprint: key.fingerprint(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn enroll(&self) {
        let address = self.server.lock().address.clone();
        agent::enroll(&self.path("state"), &address, TOKEN, self.fingerprint)
            .await
            .unwrap();
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub async fn backup(&self) -> Result<shared::api::agent::SnapshotSummary, BackupError> {
        agent::backup(&self.path("state"), None, Arc::new(Silent))
            .await
            .map(|mut all| all.remove(0))
    }

    pub fn request(&self, snapshot: SnapshotId, to: &str) -> Request {
        Request {
            snapshot,
            paths: vec![],
            order: Order {
                target: self.path(to),
                ..Order::default()
            },
            expected: Expected::default(),
            commit_key: None,
        }
    }

    pub async fn restore(&self, snapshot: SnapshotId, to: &str, kit: &str) -> Result<PathBuf, RestoreError> {
        let request = self.request(snapshot, to);
        let to = self.path(to);
        let report = agent::restore(&self.path("state"), &request, &self.path(kit), Arc::new(Silent)).await?;
        assert_eq!(report.outcome.losses, []);
        Ok(to.join(self.path("data").strip_prefix("/").unwrap()))
    }
}

pub fn noise(size: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
