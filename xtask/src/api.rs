//! The automation API, spoken the way a customer's script would.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    api::{
        ErrorBody,
        list::Page,
        request::{NewBackupSet, NewEnrollmentToken, NewSource, NewStorageAccount, NewTenant, SignIn},
        view::{
            AgentView, BackupSetView, BucketInspection, EnrollmentTokenView, Me, RestoreView, RunView,
            SnapshotPage, SnapshotView, SourceView, StorageAccountView, TenantAgents, TenantSummary,
        },
    },
    ids::{BackupSetId, RestoreId, RunId, SnapshotId, SourceId, TenantId},
};

use crate::clock;

/// A signed-in user.
pub struct Api {
    client: reqwest::Client,
    address: String,
    cookie: Option<String>,
}

/// What the server would not do.
pub struct Refusal {
    /// The answer's status.
    pub status: StatusCode,
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// An answer: what was asked for, or a refusal.
type Answer<T> = Result<std::result::Result<T, Refusal>>;

impl Api {
    /// Signs in.
    pub async fn sign_in(address: &str, email: &str, password: &str) -> Result<(Self, Me)> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()?;
        let mut api = Self {
            client,
            address: address.to_owned(),
            cookie: None,
        };
        let body = SignIn {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        let answer = api.send(Method::POST, "session", Some(&body)).await?;
        let cookies: Vec<String> = answer
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(';').next().map(str::to_owned))
            .collect();
        let me = match read::<Me>(answer).await? {
            Ok(me) => me,
            Err(refusal) => bail!("signing in: {}", refusal.message),
        };
        if cookies.is_empty() {
            bail!("signing in: the answer sets no session cookie");
        }
        api.cookie = Some(cookies.join("; "));
        Ok((api, me))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<reqwest::Response> {
        let url = format!("{}/api/v1/{path}", self.address);
        let mut request = self
            .client
            .request(method, &url)
            .header(header::ACCEPT, "application/json");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.with_context(|| format!("/api/v1/{path}"))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.send(Method::GET, path, None::<&()>).await?;
        unrefused(path, read(answer).await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        unrefused(path, self.try_post(path, body).await?)
    }

    async fn try_post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Answer<T> {
        read(self.send(Method::POST, path, Some(body)).await?).await
    }

    /// A page of the console, as the browser first gets it.
    pub async fn page(&self, path: &str) -> Result<String> {
        let mut request = self
            .client
            .get(format!("{}{path}", self.address))
            .header(header::ACCEPT, "text/html");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = request.send().await?;
        if !answer.status().is_success() {
            bail!("{path}: {}", answer.status());
        }
        Ok(answer.text().await?)
    }

    /// Every tenant.
    pub async fn tenants(&self) -> Result<Vec<TenantSummary>> {
        self.get("tenants").await
    }

    /// Makes a tenant.
    pub async fn new_tenant(&self, name: &str) -> Result<TenantSummary> {
        self.post(
            "tenants",
            &NewTenant {
                name: name.to_owned(),
            },
        )
        .await
    }

    /// A tenant and how well it is protected.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantSummary> {
        self.get(&format!("tenants/{tenant}")).await
    }

    /// A tenant's agents.
    pub async fn agents(&self, tenant: TenantId) -> Result<Vec<AgentView>> {
        let page: TenantAgents = self.get(&format!("tenants/{tenant}/agents")).await?;
        Ok(page.agents)
    }

    /// A tenant's newest snapshots that have not expired, newest first.
    pub async fn snapshots(&self, tenant: TenantId) -> Result<Vec<SnapshotView>> {
        let page: Page<SnapshotView> = self.get(&format!("tenants/{tenant}/snapshots?limit=100")).await?;
        Ok(page.items)
    }

    /// Makes a storage account.
    pub async fn new_storage_account(
        &self,
        tenant: TenantId,
        new: &NewStorageAccount,
    ) -> Answer<StorageAccountView> {
        self.try_post(&format!("tenants/{tenant}/storage-accounts"), new)
            .await
    }

    /// Makes a backup set.
    pub async fn new_backup_set(&self, tenant: TenantId, new: &NewBackupSet) -> Answer<BackupSetView> {
        self.try_post(&format!("tenants/{tenant}/backup-sets"), new).await
    }

    /// Looks into a backup set's bucket.
    pub async fn inspect(&self, tenant: TenantId, set: BackupSetId) -> Result<BucketInspection> {
        self.post(&format!("tenants/{tenant}/backup-sets/{set}/inspect"), &empty())
            .await
    }

    /// Makes an enrollment token.
    pub async fn new_token(
        &self,
        tenant: TenantId,
        backup_set_id: BackupSetId,
    ) -> Result<EnrollmentTokenView> {
        self.post(
            &format!("tenants/{tenant}/enrollment-tokens"),
            &NewEnrollmentToken { backup_set_id },
        )
        .await
    }

    /// Makes a source.
    pub async fn new_source(&self, tenant: TenantId, new: &NewSource) -> Result<SourceView> {
        self.post(&format!("tenants/{tenant}/sources"), new).await
    }

    /// Asks for a backup now.
    pub async fn start_run(&self, tenant: TenantId, source: SourceId) -> Result<RunView> {
        self.post(&format!("tenants/{tenant}/sources/{source}/runs"), &empty())
            .await
    }

    /// A run.
    pub async fn run(&self, tenant: TenantId, run: RunId) -> Result<RunView> {
        self.get(&format!("tenants/{tenant}/runs/{run}")).await
    }

    /// Waits until a run has ended, one way or the other.
    pub async fn ended(&self, tenant: TenantId, run: RunId, timeout: Duration) -> Result<RunView> {
        let ended = clock::poll(timeout, Duration::from_millis(200), async || {
            let view = self.run(tenant, run).await?;
            Ok(view.state.is_final().then_some(view))
        })
        .await?;
        match ended {
            Some(view) => Ok(view),
            None => {
                let view = self.run(tenant, run).await?;
                bail!("the run is still {:?} after {} s", view.state, timeout.as_secs())
            }
        }
    }

    /// A snapshot's page.
    pub async fn snapshot(&self, tenant: TenantId, snapshot: SnapshotId) -> Result<SnapshotPage> {
        self.get(&format!("tenants/{tenant}/snapshots/{snapshot}")).await
    }

    /// Allows a restore.
    pub async fn new_restore(&self, tenant: TenantId, snapshot: SnapshotId) -> Result<RestoreView> {
        self.post(
            &format!("tenants/{tenant}/snapshots/{snapshot}/restores"),
            &empty(),
        )
        .await
    }

    /// The uses of a permission to restore, newest first.
    pub async fn restores_under(&self, tenant: TenantId, permission: RestoreId) -> Result<Vec<RestoreView>> {
        let page: Page<RestoreView> = self.get(&format!("tenants/{tenant}/restores")).await?;
        let mut restores = page.items;
        restores.retain(|restore| restore.permission_id == Some(permission));
        Ok(restores)
    }
}

/// An empty JSON object: a POST without a body is one as well.
fn empty() -> serde_json::Map<String, serde_json::Value> {
    serde_json::Map::new()
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> Answer<T> {
    let status = answer.status();
    let path = answer.url().path().to_owned();
    let text = answer.text().await?;
    if status.is_success() {
        return serde_json::from_str(&text)
            .map(Ok)
            .with_context(|| format!("{path}: the answer does not parse"));
    }
    let body: ErrorBody = serde_json::from_str(&text).with_context(|| {
        format!(
            "{path}: {status} without an error body: {}",
            text.chars().take(200).collect::<String>()
        )
    })?;
    Ok(Err(Refusal {
        status,
        code: body.code,
        message: body.message,
    }))
}

fn unrefused<T>(path: &str, answer: std::result::Result<T, Refusal>) -> Result<T> {
    match answer {
        Ok(value) => Ok(value),
        Err(refusal) => bail!(
            "/api/v1/{path}: {} {}: {}",
            refusal.status,
            refusal.code,
            refusal.message
        ),
    }
}

/// Turns a refusal into an error, for those who did not expect one.
pub fn granted<T>(what: &str, answer: std::result::Result<T, Refusal>) -> Result<T> {
    unrefused(what, answer)
}
