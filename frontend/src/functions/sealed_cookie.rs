//! What the answer to a plain form post leaves for the page that the browser then asks for: a cookie that only this server can
//! read or write, and that lives for minutes. Nothing of it is in an address, where logs, histories and referrers would keep it.

use std::sync::Arc;

use http::{
    HeaderValue,
    header::{COOKIE, SET_COOKIE},
    request::Parts,
};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use serde::{Serialize, de::DeserializeOwned};

use crate::backend::Backend;

/// The longest cookie that every browser keeps has 4,096 bytes with its name (RFC 6265, section 6.1).
const MAX_BYTES: usize = 4_000;

/// What a cookie carries.
#[derive(Debug, Clone, Copy)]
pub struct Cookie {
    name: &'static str,
    seconds: u32,
}

/// A form that was refused: long enough to sign in and come back to it.
pub const REFUSED_FORM: Cookie = Cookie {
    name: "holdfast_form",
    seconds: 300,
};

/// An enrollment token that was just made.
pub const ENROLLMENT: Cookie = Cookie {
    name: "holdfast_enrollment",
    seconds: 60,
};

impl Cookie {
    /// Leaves `value`. False when it does not fit.
    pub fn give(self, value: &impl Serialize) -> bool {
        let header =
            use_context::<Arc<dyn Backend>>().and_then(|backend| self.header(backend.as_ref(), value));
        let is_given = header.is_some();
        if let (Some(header), Some(response)) = (header, use_context::<ResponseOptions>()) {
            response.append_header(SET_COOKIE, header);
        }
        is_given
    }

    /// The header that leaves `value`; none when it does not fit.
    pub fn header(self, backend: &dyn Backend, value: &impl Serialize) -> Option<HeaderValue> {
        let text = serde_json::to_vec(value).ok()?;
        let sealed = backend.seal(self.name, self.seconds, &text)?;
        if sealed.len() > MAX_BYTES {
            return None;
        }
        self.line(backend, &sealed, self.seconds)
    }

    /// What was left, if this server did so and not too long ago.
    pub fn read<T: DeserializeOwned>(self) -> Option<T> {
        let backend = use_context::<Arc<dyn Backend>>()?;
        let parts = use_context::<Parts>()?;
        let name = self.full_name(backend.as_ref());
        let value = parts
            .headers
            .get_all(COOKIE)
            .into_iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split("; "))
            .find_map(|pair| pair.strip_prefix(name.as_str())?.strip_prefix('='))?;
        serde_json::from_slice(&backend.open(self.name, value)?).ok()
    }

    /// Takes it away.
    pub fn forget(self) {
        let line = use_context::<Arc<dyn Backend>>().and_then(|backend| self.line(backend.as_ref(), "", 0));
        if let (Some(line), Some(response)) = (line, use_context::<ResponseOptions>()) {
            response.append_header(SET_COOKIE, line);
        }
    }

    /// With the prefix that browsers take from an https origin only, and from no sibling of its host.
    fn full_name(self, backend: &dyn Backend) -> String {
        let prefix = if backend.is_https() { "__Host-" } else { "" };
        format!("{prefix}{}", self.name)
    }

    fn line(self, backend: &dyn Backend, value: &str, max_age_seconds: u32) -> Option<HeaderValue> {
        let name = self.full_name(backend);
        let secure = if backend.is_https() { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&cookie).ok()
    }
}
