//! How well a tenant is protected.

use leptos::prelude::*;
use shared::api::view::Health;

use super::icon::{Icon, Sign};

/// Health as an icon and a word.
#[component]
pub fn HealthBadge(health: Health) -> impl IntoView {
    let (tone, sign, word) = match health {
        Health::Failing => ("badge bad", Sign::Failure, "Failing"),
        Health::Attention => ("badge warn", Sign::Warning, "Needs attention"),
        Health::Empty => ("badge", Sign::Blank, "Not set up"),
        Health::Protected => ("badge good", Sign::Check, "Protected"),
    };
    view! {
        <span class=tone>
            <Icon sign />
            {word}
        </span>
    }
    .into_any()
}
