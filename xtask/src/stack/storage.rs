//! The S3 endpoint of a stack.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{ceph::Ceph, endpoint::Endpoint, lockbox::Lockbox, plan::Plan};
use crate::{build::Built, process::Managed};

/// It runs until it is dropped.
pub enum Storage {
    Lockbox(Lockbox),
    Ceph(Box<Ceph>),
}

impl Storage {
    /// Starts what the plan asks for.
    pub async fn start(plan: &Plan, built: &Built) -> Result<Self> {
        Ok(match plan.endpoint {
            Endpoint::Lockbox => Self::Lockbox(
                Lockbox::start(&built.lockbox, &plan.folder, &plan.secrets, plan.s3_port).await?,
            ),
            Endpoint::Ceph => Self::Ceph(Box::new(
                Ceph::start(&plan.folder, &plan.secrets, plan.s3_port).await?,
            )),
        })
    }

    /// The processes.
    pub fn processes(&self) -> Vec<&Managed> {
        match self {
            Self::Lockbox(lockbox) => vec![lockbox.process()],
            Self::Ceph(ceph) => ceph.processes().to_vec(),
        }
    }

    /// An error when something of it has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        match self {
            Self::Lockbox(lockbox) => lockbox.must_run(),
            Self::Ceph(ceph) => ceph.must_run(),
        }
    }

    /// How many requests of each kind it has had so far, by the names that it has for them.
    pub async fn calls(&mut self) -> Result<BTreeMap<String, u64>> {
        match self {
            Self::Lockbox(lockbox) => lockbox.calls().await,
            Self::Ceph(ceph) => ceph.calls(),
        }
    }

    /// How much it keeps, in bytes.
    pub async fn stored_bytes(&self) -> Result<u64> {
        match self {
            Self::Lockbox(lockbox) => lockbox.stored_bytes(),
            Self::Ceph(ceph) => ceph.stored_bytes().await,
        }
    }
}
