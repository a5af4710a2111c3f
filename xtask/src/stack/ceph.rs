//! Ceph's gateway as a stack's S3 endpoint: another Object Lock than lockbox's, and one that people run. A whole cluster of
//! one monitor, one store and one gateway, private to a folder; without daemons of the system, without authentication inside.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

use super::{
    common::{READY_WITHIN, private},
    port,
    secrets::Secrets,
};
use crate::{clock, process::Managed, say, setup, sh};

/// How much fits in; the file for it is sparse.
const CAPACITY_BYTES: u64 = 64 << 30;
/// How long one command may wait for the cluster before it is given another time. The `ceph` program, once, waited for 90 s for a
/// monitor that other commands reached at once.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);
/// How often a cluster is made anew, on another port of the monitor.
const STARTS: u32 = 3;

/// It runs until it is dropped. The fields are in the order in which they stop.
pub struct Ceph {
    gateway: Managed,
    store: Managed,
    monitor: Managed,
    configuration: PathBuf,
    access_log: PathBuf,
}

impl Ceph {
    /// Makes a new, empty cluster in the stack's folder and starts it, its gateway on a port. A cluster that does not come up
    /// is made anew: somebody else may have taken the monitor's port between its choice and its use.
    pub async fn start(folder: &Path, secrets: &Secrets, gateway_port: u16) -> Result<Self> {
        if !setup::ceph::is_installed() {
            bail!("Ceph is not installed: run `cargo xtask setup --only ceph`");
        }
        let mut start = 1;
        loop {
            let data = folder.join(format!("ceph-{start}"));
            if data.exists() {
                bail!("{}: a Ceph cluster is made anew each time", data.display());
            }
            match Self::start_in(&data, &folder.join("logs"), secrets, gateway_port).await {
                Err(error) if start < STARTS => {
                    say::doing(&format!(
                        "Ceph's cluster did not come up, and is made anew: {error:#}"
                    ));
                    start += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn start_in(data: &Path, logs: &Path, secrets: &Secrets, gateway_port: u16) -> Result<Self> {
        private(data)?;
        for part in ["monitor", "store", "run"] {
            private(&data.join(part))?;
        }
        let (cluster, store_id) = (new_uuid()?, new_uuid()?);
        let monitor_address = format!("v2:127.0.0.1:{}", port::any()?);
        let configuration = data.join("ceph.conf");
        fs::write(
            &configuration,
            configure(data, &cluster, &monitor_address, gateway_port),
        )?;

        let map = data.join("monmap");
        let mut make = tokio::process::Command::new("monmaptool");
        make.args(["--create", "--fsid", &cluster, "--addv", "a"])
            .arg(format!("[{monitor_address}]"))
            .arg(&map);
        sh::output(&mut make).await?;
        let mut make = once("ceph-mon", &configuration);
        make.args(["--mkfs", "-i", "a", "--monmap"]).arg(&map);
        sh::output(&mut make).await?;
        let mut command = service("ceph-mon", &configuration);
        let mut monitor = Managed::spawn(
            "Ceph's monitor",
            command.args(["-i", "a"]),
            &logs.join("ceph-monitor.log"),
        )?;

        // Registering the same id again changes nothing.
        let register = ["osd", "new", &store_id, "0"];
        ask("ceph", &configuration, &register, &mut [&mut monitor]).await?;
        let mut make = once("ceph-osd", &configuration);
        make.args(["--mkfs", "-i", "0", "--osd-uuid", &store_id]);
        sh::output(&mut make).await?;
        let mut command = service("ceph-osd", &configuration);
        let mut store = Managed::spawn(
            "Ceph's store",
            command.args(["-i", "0"]),
            &logs.join("ceph-store.log"),
        )?;

        // The first command makes the gateway's pools, and waits until the store serves them.
        let list = ["user", "list"];
        let needed = &mut [&mut monitor, &mut store];
        ask("radosgw-admin", &configuration, &list, needed).await?;
        let mut user = once("radosgw-admin", &configuration);
        user.args(["user", "create", "--uid", "holdfast"])
            .args(["--display-name", "Holdfast"])
            .args(["--access-key", &secrets.s3_access_key])
            .args(["--secret", &secrets.s3_secret_key]);
        sh::output_within(READY_WITHIN, &mut user).await?;
        let mut command = service("radosgw", &configuration);
        let gateway = Managed::spawn(
            "Ceph's gateway",
            command.args(["-n", GATEWAY]),
            &logs.join("ceph-gateway.log"),
        )?;

        let mut ceph = Self {
            gateway,
            store,
            monitor,
            access_log: data.join(format!("run/{GATEWAY}.log")),
            configuration,
        };
        ceph.wait(gateway_port).await?;
        Ok(ceph)
    }

    async fn wait(&mut self, port: u16) -> Result<()> {
        let address = format!("http://127.0.0.1:{port}/");
        let client = reqwest::Client::new();
        let ready = clock::poll(READY_WITHIN, Duration::from_millis(50), async || {
            self.must_run()?;
            Ok(client.get(&address).send().await.is_ok().then_some(()))
        })
        .await?;
        match ready {
            Some(()) => Ok(()),
            None => bail!(
                "Ceph's gateway did not answer within {} s:\n{}",
                READY_WITHIN.as_secs(),
                self.gateway.tail(15)
            ),
        }
    }

    /// The processes.
    pub fn processes(&self) -> [&Managed; 3] {
        [&self.monitor, &self.store, &self.gateway]
    }

    /// An error when one of them has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        self.monitor.must_run()?;
        self.store.must_run()?;
        self.gateway.must_run()
    }

    /// How many requests of each HTTP method the gateway has answered so far.
    pub fn calls(&self) -> Result<BTreeMap<String, u64>> {
        let log = fs::read(&self.access_log).with_context(|| self.access_log.display().to_string())?;
        Ok(count(&String::from_utf8_lossy(&log)))
    }

    /// How much it keeps, in all buckets.
    pub async fn stored_bytes(&self) -> Result<u64> {
        #[derive(Deserialize)]
        struct Bucket {
            usage: BTreeMap<String, Usage>,
        }
        #[derive(Deserialize)]
        struct Usage {
            size: u64,
        }
        let mut command = once("radosgw-admin", &self.configuration);
        command.args(["bucket", "stats", "--format", "json"]);
        let buckets: Vec<Bucket> = serde_json::from_str(&sh::output(&mut command).await?)
            .context("what radosgw-admin says of its buckets")?;
        let usages = buckets.iter().flat_map(|bucket| bucket.usage.values());
        Ok(usages.map(|usage| usage.size).sum())
    }
}

/// The gateway's name among Ceph's clients.
const GATEWAY: &str = "client.rgw.a";

fn new_uuid() -> Result<String> {
    const SOURCE: &str = "/proc/sys/kernel/random/uuid";
    Ok(fs::read_to_string(SOURCE).context(SOURCE)?.trim().to_owned())
}

/// A program that ends by itself.
fn once(program: &str, configuration: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program);
    command.arg("-c").arg(configuration);
    command
}

/// Runs a command that may be given several times, until it succeeds or a process that it needs has ended.
async fn ask(
    program: &str,
    configuration: &Path,
    arguments: &[&str],
    needed: &mut [&mut Managed],
) -> Result<()> {
    let mut last = None;
    let done = clock::poll(READY_WITHIN, Duration::from_millis(200), async || {
        for process in needed.iter_mut() {
            process.must_run()?;
        }
        let mut command = once(program, configuration);
        match sh::output_within(COMMAND_WITHIN, command.args(arguments)).await {
            Ok(_) => Ok(Some(())),
            Err(error) => {
                last = Some(error);
                Ok(None)
            }
        }
    })
    .await?;
    match (done, last) {
        (Some(()), _) => Ok(()),
        (None, error) => Err(error.unwrap_or_else(|| anyhow!("`{program}` was not run"))),
    }
}

/// A program that stays.
fn service(program: &str, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-f").arg("-c").arg(configuration);
    command
}

/// Requests by method, from the gateway's access log.
fn count(log: &str) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(" beast: ")) {
        // `… beast: 0x7f…: 127.0.0.1 - user [date] "PUT /bucket/key HTTP/1.1" 200 …`
        let request = line.split('"').nth(1);
        if let Some(method) = request.and_then(|request| request.split_whitespace().next()) {
            *calls.entry(method.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// Only what a single node on one machine needs otherwise than Ceph's defaults have it.
fn configure(data: &Path, cluster: &str, monitor_address: &str, gateway_port: u16) -> String {
    let data = data.display();
    // `tcp_nodelay`: without it each small answer waits 40 ms. `ms_mon_client_mode`: the gateway otherwise asks for a
    // cipher that a cluster without keys does not have.
    format!(
        "[global]
fsid = {cluster}
mon_host = {monitor_address}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = /dev/null
run_dir = {data}/run
admin_socket = {data}/run/$pid.asok
pid_file =
log_file = {data}/run/$name.log
crash_dir = {data}/run
debug_default = 0
paxos_propose_interval = 0.05
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 1000
[mon]
mon_data = {data}/monitor
mon_data_avail_crit = 1
[osd]
osd_data = {data}/store
osd_objectstore = bluestore
bluestore_block_size = {CAPACITY_BYTES}
osd_memory_target = 1073741824
[{GATEWAY}]
ms_mon_client_mode = crc
rgw_data = {data}
rgw_frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
debug_rgw_access = 1
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method() {
        let line = |request: &str| {
            format!(
                "2026-11-26T16:08:20.740+0000 7f04 1 beast: 0x7f04: 127.0.0.1 - holdfast [26/Nov/2026:16:08:20.736 +0000] \
                 \"{request} HTTP/1.1\" 200 231 - \"agent\" - latency=0.004000000s\n"
            )
        };
        let log = line("PUT /b/k") + "something else \"PUT /x\"\n" + &line("GET /b") + &line("PUT /b/l");
        let expected = BTreeMap::from([("GET".to_owned(), 1), ("PUT".to_owned(), 2)]);
        assert_eq!(count(&log), expected);
    }
}
