//! The HTTP client below the SDK: it connects where the instance's rule allows it, and nowhere else.
//!
//! Names are resolved here and each address is judged, at each connect: a name that pointed elsewhere when the account was made
//! gains nothing. An address in the place of a name goes past the resolver (hyper-util, `HttpConnector`), so each request's own
//! address is judged too. No proxy is used, whatever the environment says, since the proxy would resolve the name and could not
//! be held to the rule. Redirects are not followed (hyper follows none, nor does the SDK).

use std::net::IpAddr;

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, SharedHttpClient,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

use crate::s3::address::AddressRule;

/// A client for endpoints of one scheme.
pub(super) fn client(rule: &AddressRule, https: bool) -> SharedHttpClient {
    let resolver = Resolver {
        rule: rule.clone(),
        https,
    };
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_with_resolver(resolver)
}

/// The operating system's resolver, and the rule.
#[derive(Debug, Clone)]
struct Resolver {
    rule: AddressRule,
    https: bool,
}

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
                .filter(|address| self.rule.allows(*address, self.https))
                .collect();
            if allowed.is_empty() {
                let name = name.to_owned();
                return Err(ResolveDnsError::new(NotAllowed { name, found }));
            }
            Ok(allowed)
        })
    }
}

/// Judges the address of each request before it is sent: its scheme must be the client's, and its host, where it is an address,
/// must be allowed.
#[derive(Debug)]
pub(super) struct JudgeAddress {
    pub(super) rule: AddressRule,
    pub(super) https: bool,
}

impl Intercept for JudgeAddress {
    fn name(&self) -> &'static str {
        "JudgeAddress"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri: http::Uri = context.request().uri().parse()?;
        if (uri.scheme_str() == Some("https")) != self.https {
            return Err("a request left its endpoint's scheme".into());
        }
        Ok(self.rule.judge(&uri)?)
    }
}
