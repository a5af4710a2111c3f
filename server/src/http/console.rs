//! The console: pages rendered here, server functions as shims, both over [`Backend`].

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode, Uri,
        header::{CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE},
        request::Parts,
    },
    middleware::{self, Next},
    response::Response,
};
use frontend::{
    App as Console,
    backend::{Backend, Handle},
    error::ConsoleError,
    shell, unreadable,
};
use jiff::Timestamp;
use leptos::{
    config::LeptosOptions,
    context::{provide_context, use_context},
    nonce::use_nonce,
};
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list, render_app_async_with_context};
use shared::api::{request::SignIn, view::Me};
use tower_sessions::Session;

use super::{
    cookies,
    headers::page_policy,
    listener::Client,
    operations::{Perform, perform},
    sealed, session,
};
use crate::{
    app::App,
    error::ApiError,
    use_cases::people::users::{self, Visitor},
};

/// The console's pages and server functions.
pub fn routes(app: &App, options: &LeptosOptions) -> Router<LeptosOptions> {
    let app = app.clone();
    let forms_of = app.clone();
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
        .layer(middleware::from_fn_with_state(forms_of, no_error_in_addresses))
}

/// The framework refuses a plain post that it cannot read by an address with an error in it. The error goes into the cookie that
/// forms are refused by, and the address is the page's own.
async fn no_error_in_addresses(State(app): State<App>, request: Request, next: Next) -> Response {
    let form = request.uri().path().to_owned();
    let visit = (
        request.extensions().get::<Session>().cloned(),
        request.extensions().get::<Client>().cloned(),
    );
    let mut response = next.run(request).await;
    let Some(page) = response.headers().get(LOCATION).and_then(without_error) else {
        return response;
    };
    let path = page.split('?').next().unwrap_or("/");
    let cookie = match visit {
        (Some(session), Some(client)) => {
            let backend = ConsoleBackend {
                app,
                session,
                client,
                browser: None,
                response: None,
            };
            unreadable(&backend, path, &form)
        }
        _ => None,
    };
    let headers = response.headers_mut();
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
    if let Ok(page) = HeaderValue::try_from(page) {
        headers.insert(LOCATION, page);
    }
    response
}

/// The path and query of an address that has an error in it, without the error.
fn without_error(location: &HeaderValue) -> Option<String> {
    let location: Uri = location.to_str().ok()?.parse().ok()?;
    let of_error = |part: &&str| ["__err=", "__path="].iter().any(|name| part.starts_with(name));
    let parts = || location.query().unwrap_or_default().split('&');
    parts().find(of_error)?;
    let rest: Vec<&str> = parts().filter(|part| !of_error(part)).collect();
    let sign = if rest.is_empty() { "" } else { "?" };
    Some(format!("{}{sign}{}", location.path(), rest.join("&")))
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

#[async_trait]
impl Backend for ConsoleBackend {
    fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    fn is_https(&self) -> bool {
        self.app.public_url.starts_with("https://")
    }

    fn seal(&self, purpose: &'static str, seconds: u32, text: &[u8]) -> Option<String> {
        sealed::seal(&self.app.master_key, purpose, self.now(), seconds, text)
    }

    fn open(&self, purpose: &'static str, text: &str) -> Option<Vec<u8>> {
        sealed::open(&self.app.master_key, purpose, self.now(), text)
    }

    async fn me(&self) -> Result<Option<Me>, ConsoleError> {
        let person = session::user(&self.app, &self.session, &self.client).await?;
        Ok(person.map(|person| person.me().clone()))
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
}

#[async_trait]
impl<O: Perform> Handle<O> for ConsoleBackend {
    async fn handle(&self, ids: O::Ids, input: O::Input) -> Result<O::Output, ConsoleError> {
        let person = session::user(&self.app, &self.session, &self.client).await?;
        let person = person.ok_or(ApiError::SignInNeeded)?;
        Ok(perform::<O>(&self.app, person, ids, input).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_taken_out_of_an_address_and_nothing_else() {
        let without = |text: &'static str| without_error(&HeaderValue::from_static(text));
        for (location, page) in [
            ("https://a.example/sign-in?__path=%2Fx&__err=eyJ", "/sign-in"),
            ("/sign-in?next=%2Ft&__path=x&__err=y", "/sign-in?next=%2Ft"),
            ("/?__err=y", "/"),
        ] {
            assert_eq!(without(location).as_deref(), Some(page));
        }
        for plain in ["/sign-in", "/tenants/tnt_1?next=__err", "https://a.example/"] {
            assert_eq!(without(plain), None, "{plain}");
        }
    }
}
