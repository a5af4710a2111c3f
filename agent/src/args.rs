//! Arguments that several commands take.

use std::path::PathBuf;

use agent::{
    limit::{Limits, Rate},
    state::DEFAULT_FOLDER,
};
use clap::Args;

/// Whose state.
#[derive(Args)]
pub struct StateArg {
    /// Where the agent keeps its identity and cache
    #[arg(long = "state", value_name = "DIR", env = "HOLDFAST_AGENT_STATE", default_value = DEFAULT_FOLDER)]
    pub folder: PathBuf,
}

/// What backups may use of the network.
#[derive(Args)]
pub struct UploadArg {
    /// Send no more than this in a second, such as `10 MiB/s`. Comes before `limits.upload` in the state folder's
    /// agent.json; a lower limit that the server sets for a source holds anyway
    #[arg(long, value_name = "RATE", env = "HOLDFAST_LIMIT_UPLOAD")]
    pub limit_upload: Option<Rate>,
}

impl UploadArg {
    /// As limits.
    pub fn limits(&self) -> Limits {
        Limits {
            upload: self.limit_upload,
            ..Limits::default()
        }
    }
}

/// What restores may use of the network.
#[derive(Args)]
pub struct DownloadArg {
    /// Fetch no more than this in a second, such as `10 MiB/s`. Comes before `limits.download` in the state folder's
    /// agent.json
    #[arg(long, value_name = "RATE", env = "HOLDFAST_LIMIT_DOWNLOAD")]
    pub limit_download: Option<Rate>,
}
