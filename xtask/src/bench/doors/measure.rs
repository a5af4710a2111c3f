//! What a person, a monitor and the machine notice.

use std::{
    fs,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use reqwest::{StatusCode, header};
use tokio::task::JoinSet;

use super::load::{Target, address};
use crate::clock;

/// Where the browsers that are measured are, and the monitor.
const KNOWN: u32 = 4;
const UNKNOWN: u32 = 5;
const MONITOR: u32 = 6;

/// How long something took, each time, and how often it was refused.
#[derive(Clone, Default)]
pub struct Times(Arc<Mutex<(Vec<Duration>, u64)>>);

impl Times {
    fn took(&self, time: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(time);
    }

    fn refused(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
    }

    /// A row of the table.
    pub fn row(&self, what: &str, aim: &str) -> String {
        let (mut times, refused) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.sort_unstable();
        let millis = |time: Option<&Duration>| {
            time.map_or("–".to_owned(), |time| format!("{} ms", time.as_millis()))
        };
        format!(
            "| {what} | {} | {refused} | {} | {} | {aim} |",
            times.len(),
            millis(times.get(times.len() / 2)),
            millis(times.last())
        )
    }
}

fn client(from: IpAddr) -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .local_address(from)
        .timeout(Duration::from_secs(60));
    Ok(client.build()?)
}

async fn sign_in(
    target: &Target,
    client: &reqwest::Client,
    cookie: Option<&str>,
) -> Result<reqwest::Response> {
    let body = serde_json::json!({ "email": target.email, "password": target.password });
    let mut request = client
        .post(format!("http://{}/api/v1/session", target.address()))
        .json(&body);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    Ok(request.send().await?)
}

/// Signs in once; gives the cookie by which the browser is known from then on.
pub async fn known_browser(target: &Target) -> Result<String> {
    let answer = sign_in(target, &client(address(KNOWN))?, None).await?;
    let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
    let mut cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let cookie = cookies.find(|cookie| cookie.contains("holdfast_browser="));
    cookie
        .map(str::to_owned)
        .context("the answer makes the browser known")
}

/// Uses the server as people do, some at a time, so that what it needs for them is there before anything is measured: connections
/// to the database, the memory of the password threads, pages.
pub async fn warm_up(target: &Arc<Target>) -> Result<()> {
    for _ in 0..3 {
        let mut people = JoinSet::new();
        for nth in 0..48 {
            let target = target.clone();
            people.spawn(async move {
                let client = client(address(KNOWN))?;
                let page = format!("http://{}/sign-in", target.address());
                let answer = client.get(page).send().await?;
                if nth % 6 == 0 {
                    let answer = sign_in(&target, &client, None).await?;
                    if answer.status() != StatusCode::OK {
                        bail!("signing in: {}", answer.status());
                    }
                }
                answer.bytes().await?;
                Ok(())
            });
        }
        while let Some(done) = people.join_next().await {
            done??;
        }
    }
    Ok(())
}

/// Signs in rightly, again and again.
pub async fn sign_ins(target: Arc<Target>, cookie: Option<String>, times: Times) {
    let from = if cookie.is_some() { KNOWN } else { UNKNOWN };
    let Ok(client) = client(address(from)) else { return };
    loop {
        let begun = clock::start();
        match sign_in(&target, &client, cookie.as_deref()).await {
            Ok(answer) if answer.status() == StatusCode::OK => times.took(begun.elapsed()),
            _ => times.refused(),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Asks for the server's health, again and again.
pub async fn health(target: Arc<Target>, times: Times) {
    let Ok(client) = client(address(MONITOR)) else {
        return;
    };
    let url = format!("http://{}/healthz", target.address());
    loop {
        let begun = clock::start();
        match client.get(&url).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => times.took(begun.elapsed()),
            _ => times.refused(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The memory of a process that is resident.
pub struct Memory {
    process: u32,
    /// When it began to be watched.
    pub before: u64,
    /// The most that was seen.
    pub peak: u64,
}

impl Memory {
    /// Watches a process.
    pub fn watch(process: u32) -> Result<Self> {
        let mut memory = Self {
            process,
            before: 0,
            peak: 0,
        };
        memory.before = memory.now()?;
        memory.peak = memory.before;
        Ok(memory)
    }

    /// What is resident and of no file, in bytes: without the program's own pages.
    pub fn anonymous(&self) -> Result<u64> {
        self.field("RssAnon:")
    }

    /// In bytes.
    pub fn now(&self) -> Result<u64> {
        self.field("VmRSS:")
    }

    fn field(&self, name: &str) -> Result<u64> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process)).context("the server has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.with_context(|| name.to_owned())? << 10)
    }

    /// Looks again and again, until it is dropped.
    pub async fn sample_for_ever(&mut self) {
        while let Ok(now) = self.now() {
            self.peak = self.peak.max(now);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
