//! Which way connections take: past a rule for addresses, by the environment's proxies, or straight on. Redirects are never followed
//! (hyper follows none, nor does the SDK).
//!
//! With a rule, names are resolved here and each address is judged, at each connect: a name that pointed elsewhere when the
//! endpoint was named gains nothing. An address in the place of a name goes past the resolver (hyper-util, `HttpConnector`), so each
//! request's own address is judged too. No proxy is used then, whatever the environment says, since the proxy would resolve the name
//! and could not be held to the rule.

use std::{fmt, net::IpAddr, sync::Arc};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, SharedHttpClient,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

/// Which way connections take.
#[derive(Debug, Clone)]
pub enum Route {
    /// Straight to the endpoint, where the rule allows its address.
    Judged(Arc<dyn ConnectRule>),
    /// By the proxies that the environment names (`HTTPS_PROXY`, `NO_PROXY` and the like), if it names any.
    Environment,
    /// Straight to the endpoint.
    Direct,
}

/// Where connections may go.
pub trait ConnectRule: fmt::Debug + Send + Sync + 'static {
    /// Whether a connection to this address may be opened.
    fn allows(&self, address: IpAddr) -> bool;

    /// Judges the address of a request before it is sent, its name not resolved.
    ///
    /// # Errors
    /// When the request must not be sent.
    fn judge(&self, uri: &http::Uri) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// The client below the SDK.
pub(crate) fn client(route: &Route) -> SharedHttpClient {
    let tls = Provider::Rustls(CryptoMode::AwsLc);
    match route {
        Route::Judged(rule) => Builder::new()
            .tls_provider(tls)
            .build_with_resolver(Resolver(rule.clone())),
        Route::Direct => Builder::new().tls_provider(tls).build_https(),
        // As the SDK's own default client is made (aws-smithy-runtime, `default_https_client`).
        Route::Environment => Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = ConnectorBuilder::default().tls_provider(tls.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.set_proxy_config(Some(ProxyConfig::from_env()));
            connector.build()
        }),
    }
}

/// The operating system's resolver, and the rule.
#[derive(Debug, Clone)]
struct Resolver(Arc<dyn ConnectRule>);

#[derive(Debug, thiserror::Error)]
#[error("{name} has no address that the rule for storage endpoints allows, but {found:?}")]
struct NotAllowed {
    name: String,
    found: Vec<IpAddr>,
}

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name, 0)).await;
            let found: Vec<IpAddr> = found
                .map_err(ResolveDnsError::new)?
                .map(|socket| socket.ip())
                .collect();
            let allowed: Vec<IpAddr> = found
                .iter()
                .copied()
                .filter(|address| self.0.allows(*address))
                .collect();
            if allowed.is_empty() {
                let name = name.to_owned();
                return Err(ResolveDnsError::new(NotAllowed { name, found }));
            }
            Ok(allowed)
        })
    }
}

/// Judges the address of each request before it is sent.
#[derive(Debug)]
pub(crate) struct JudgeRequest(pub(crate) Arc<dyn ConnectRule>);

impl Intercept for JudgeRequest {
    fn name(&self) -> &'static str {
        "JudgeRequest"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.judge(&context.request().uri().parse()?)
    }
}
