//! Response headers that browsers enforce, the check of where a request comes from, and what the log shows.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Span;

use crate::error::ApiError;

/// The policy of everything that is not a page: nothing may be loaded by it.
const NO_CONTENT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The content security policy of a page: our own script and style, the inline script with this nonce, and WASM.
#[must_use]
pub fn page_policy(nonce: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
}

/// Browsers that came by https once do not come by anything else for a year (RFC 6797).
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the headers that make browsers strict.
pub async fn security(State(https): State<bool>, request: Request, next: Next) -> Response {
    let page = !request.uri().path().starts_with("/pkg/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(NO_CONTENT);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    let caching = if page { "no-store" } else { "no-cache" };
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(caching));
    response
}

/// Refuses a request that changes something and that another site's page sent. Browsers tell by `Sec-Fetch-Site`,
/// older ones by `Origin`; programs send neither and hold no cookie that a page could make use of.
pub async fn same_origin(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) && foreign(&request) {
        return ApiError::Forbidden.into_response();
    }
    next.run(request).await
}

fn foreign(request: &Request) -> bool {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").map(|(_, origin)| origin) != Some(host),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// A request in the log: method and path. Queries and headers may hold what a log must not.
pub fn span(request: &Request) -> Span {
    tracing::info_span!("request", method = %request.method(), path = request.uri().path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(headers: &[(&str, &str)]) -> Request {
        let builder = Request::post("/console/fn/x");
        let builder = headers
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(Body::empty()).unwrap()
    }

    #[test]
    fn another_sites_requests_are_foreign() {
        assert!(foreign(&request(&[
            ("sec-fetch-site", "cross-site"),
            ("host", "a.example")
        ])));
        assert!(foreign(&request(&[
            ("sec-fetch-site", "same-site"),
            ("host", "a.example")
        ])));
        assert!(foreign(&request(&[
            ("origin", "https://evil.example"),
            ("host", "a.example")
        ])));
        assert!(foreign(&request(&[("origin", "null"), ("host", "a.example")])));
        assert!(!foreign(&request(&[
            ("sec-fetch-site", "same-origin"),
            ("host", "a.example")
        ])));
        assert!(!foreign(&request(&[
            ("origin", "https://a.example:8443"),
            ("host", "a.example:8443")
        ])));
        assert!(!foreign(&request(&[("host", "a.example")])));
    }
}
