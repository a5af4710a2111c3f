//! Signing in and out.

use leptos::prelude::*;
use shared::api::view::Me;

use crate::error::ConsoleError;

/// Who is signed in.
#[server(prefix = "/console/fn", endpoint = "load_me")]
pub async fn load_me() -> Result<Option<Me>, ConsoleError> {
    super::status::answer(super::backend()?.me().await)
}

/// Signs in and goes on to `next`.
#[server(prefix = "/console/fn", endpoint = "sign_in")]
pub async fn sign_in(
    email: String,
    password: String,
    #[server(default)] next: String,
) -> Result<(), ConsoleError> {
    let next = path_of_this_console(&next);
    let request = shared::api::request::SignIn {
        email: email.clone(),
        password,
    };
    let result = super::backend()?.sign_in(request).await;
    let page = crate::components::sign_in_page(next);
    super::form::back_to_form::<SignIn, _>(result, &page, &[("email", &email)])?;
    leptos_axum::redirect(next);
    Ok(())
}

/// Signs out.
#[server(prefix = "/console/fn", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), ConsoleError> {
    super::backend()?.sign_out().await?;
    leptos_axum::redirect("/sign-in");
    Ok(())
}

/// `next`, if it is a path of this console, and the overview otherwise: nobody is sent to another site by a
/// prepared link.
#[cfg(feature = "ssr")]
fn path_of_this_console(next: &str) -> &str {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if inside { next } else { "/" }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::path_of_this_console;

    #[test]
    fn only_paths_of_this_console_are_followed() {
        assert_eq!(path_of_this_console("/tenants/tnt_1?x=1"), "/tenants/tnt_1?x=1");
        for evil in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "/ü",
        ] {
            assert_eq!(path_of_this_console(evil), "/", "{evil}");
        }
    }
}
