//! The HTML document around the console.

use leptos::prelude::*;
use leptos_meta::MetaTags;

use crate::app::App;

/// The whole document. Everything it loads comes from this server, and inline scripts carry the response's
/// nonce, so that a strict content security policy holds.
#[must_use]
pub fn shell(options: LeptosOptions) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" media="(prefers-color-scheme: light)" content="#f4f6f5" />
                <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#0d1312" />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="stylesheet" href="/pkg/frontend.css" />
                <AutoReload options=options.clone() />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
