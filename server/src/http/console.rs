//! The console: pages rendered here, server functions as shims, both over [`Backend`].

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::Request,
    http::{
        StatusCode,
        header::{CONTENT_SECURITY_POLICY, SET_COOKIE},
        request::Parts,
    },
};
use frontend::{App as Console, backend::Backend, error::ConsoleError, shell};
use leptos::{
    config::LeptosOptions,
    context::{provide_context, use_context},
    nonce::use_nonce,
};
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list, render_app_async_with_context};
use shared::{
    api::{
        notice::Notice,
        request::{NewBackupSet, NewEnrollmentToken, NewSource, NewStorageAccount, NewTenant, SignIn},
        view::{
            BackupSetView, BucketInspection, EnrollmentTokenView, Me, RestoreView, RunView, SnapshotPage,
            SourceView, StorageAccountView, TenantPage, TenantSummary,
        },
    },
    ids::{BackupSetId, NoticeId, RunId, SnapshotId, SourceId, TenantId},
};
use tower_sessions::Session;

use super::{cookies, headers::page_policy, listener::Client, session};
use crate::{
    app::App,
    error::ApiError,
    scope::{self, Access, Actor},
    use_cases::{
        backup_sets, enrollment, inspect, notices, restores, sources, storage_accounts, tenants,
        users::{self, Visitor},
    },
};

/// The console's pages and server functions.
pub fn routes(app: &App, options: &LeptosOptions) -> Router<LeptosOptions> {
    let app = app.clone();
    let context = move || {
        if let Some(parts) = use_context::<Parts>()
            && let (Some(session), Some(client)) = (
                parts.extensions.get::<Session>().cloned(),
                parts.extensions.get::<Client>().cloned(),
            )
        {
            provide_context::<Arc<dyn Backend>>(Arc::new(ConsoleBackend {
                app: app.clone(),
                session,
                client,
                browser: cookies::browser(&app, &parts.headers),
                response: use_context::<ResponseOptions>(),
            }));
        }
        let policy = use_nonce().and_then(|nonce| page_policy(&nonce));
        if let (Some(policy), Some(response)) = (policy, use_context::<ResponseOptions>()) {
            response.insert_header(CONTENT_SECURITY_POLICY, policy);
        }
    };
    let pages = generate_route_list(Console);
    let (shell_options, missing_options) = (options.clone(), options.clone());
    // Any other path is a page that says so: no file is looked for.
    let missing = render_app_async_with_context(context.clone(), move || shell(missing_options.clone()));
    Router::new()
        .leptos_routes_with_context(options, pages, context, move || shell(shell_options.clone()))
        .fallback(move |request: Request| {
            let page = missing(request);
            async move {
                let mut page = page.await;
                // A page that was found without a route, or a redirect, keeps its status.
                if page.status() == StatusCode::OK {
                    *page.status_mut() = StatusCode::NOT_FOUND;
                }
                page
            }
        })
}

/// One request's view of the use cases.
struct ConsoleBackend {
    app: App,
    session: Session,
    client: Client,
    /// What the cookie of a known browser says.
    browser: Option<String>,
    response: Option<ResponseOptions>,
}

impl ConsoleBackend {
    async fn user(&self) -> Result<Me, ApiError> {
        session::user(&self.app, &self.session, &self.client)
            .await?
            .ok_or(ApiError::SignInNeeded)
    }

    async fn actor(&self, tenant: TenantId, access: Access) -> Result<Actor, ApiError> {
        scope::authorise(&self.app.db, self.user().await?, tenant, access).await
    }
}

#[async_trait]
impl Backend for ConsoleBackend {
    async fn me(&self) -> Result<Option<Me>, ConsoleError> {
        Ok(session::user(&self.app, &self.session, &self.client).await?)
    }

    async fn sign_in(&self, request: SignIn) -> Result<Me, ConsoleError> {
        let visitor = Visitor {
            address: self.client.address,
            browser: self.browser.clone(),
        };
        let signed_in = users::sign_in(&self.app, request, &visitor).await?;
        session::start(&self.session, &signed_in.user).await?;
        let cookie = signed_in
            .browser
            .and_then(|browser| cookies::set_browser(&self.app, browser));
        if let (Some(cookie), Some(response)) = (cookie, &self.response) {
            response.append_header(SET_COOKIE, cookie);
        }
        Ok(signed_in.user)
    }

    async fn sign_out(&self) -> Result<(), ConsoleError> {
        Ok(session::end(&self.app, &self.session).await?)
    }

    async fn notices(&self) -> Result<Vec<Notice>, ConsoleError> {
        Ok(notices::open(&self.app, &self.user().await?).await?)
    }

    async fn settle_notice(&self, notice: NoticeId) -> Result<(), ConsoleError> {
        Ok(notices::settle(&self.app, &self.user().await?, notice).await?)
    }

    async fn tenants(&self) -> Result<Vec<TenantSummary>, ConsoleError> {
        Ok(tenants::list(&self.app, &self.user().await?).await?)
    }

    async fn create_tenant(&self, request: NewTenant) -> Result<TenantSummary, ConsoleError> {
        Ok(tenants::create(&self.app, &self.user().await?, request).await?)
    }

    async fn tenant(&self, tenant: TenantId) -> Result<TenantPage, ConsoleError> {
        Ok(tenants::page(&self.app, &self.actor(tenant, Access::Read).await?).await?)
    }

    async fn create_storage_account(
        &self,
        tenant: TenantId,
        request: NewStorageAccount,
    ) -> Result<StorageAccountView, ConsoleError> {
        let actor = self.actor(tenant, Access::Manage).await?;
        Ok(storage_accounts::create(&self.app, &actor, request).await?)
    }

    async fn create_backup_set(
        &self,
        tenant: TenantId,
        request: NewBackupSet,
    ) -> Result<BackupSetView, ConsoleError> {
        let actor = self.actor(tenant, Access::Manage).await?;
        Ok(backup_sets::create(&self.app, &actor, request).await?)
    }

    async fn inspect_bucket(
        &self,
        tenant: TenantId,
        set: BackupSetId,
    ) -> Result<BucketInspection, ConsoleError> {
        Ok(inspect::bucket(&self.app, &self.actor(tenant, Access::Manage).await?, set).await?)
    }

    async fn create_enrollment_token(
        &self,
        tenant: TenantId,
        request: NewEnrollmentToken,
    ) -> Result<EnrollmentTokenView, ConsoleError> {
        let actor = self.actor(tenant, Access::Manage).await?;
        Ok(enrollment::create_token(&self.app, &actor, request).await?)
    }

    async fn create_source(&self, tenant: TenantId, request: NewSource) -> Result<SourceView, ConsoleError> {
        Ok(sources::create(&self.app, &self.actor(tenant, Access::Manage).await?, request).await?)
    }

    async fn run_now(&self, tenant: TenantId, source: SourceId) -> Result<RunView, ConsoleError> {
        Ok(sources::run_now(&self.app, &self.actor(tenant, Access::Manage).await?, source).await?)
    }

    async fn run(&self, tenant: TenantId, run: RunId) -> Result<RunView, ConsoleError> {
        Ok(sources::run(&self.app, &self.actor(tenant, Access::Read).await?, run).await?)
    }

    async fn snapshot(&self, tenant: TenantId, snapshot: SnapshotId) -> Result<SnapshotPage, ConsoleError> {
        Ok(restores::snapshot_page(&self.app, &self.actor(tenant, Access::Read).await?, snapshot).await?)
    }

    async fn authorise_restore(
        &self,
        tenant: TenantId,
        snapshot: SnapshotId,
    ) -> Result<RestoreView, ConsoleError> {
        Ok(restores::authorise(&self.app, &self.actor(tenant, Access::Manage).await?, snapshot).await?)
    }
}
