//! A store that does not answer.

use leptos::prelude::*;
use shared::api::view::SilenceView;

use super::{At, Icon, Sign};

/// What a silent store means and what to do; nothing while it answers.
#[component]
pub fn Silence(silence: Option<SilenceView>) -> impl IntoView {
    silence.map(|silence| {
        view! {
            <div class="notice warn" role="alert">
                <Icon sign=Sign::Warning />
                <div>
                    <h3>"The storage does not answer"</h3>
                    <p>
                        "Nothing has come back from the S3 endpoint since " <At at=silence.since />
                        ". Backups and refreshes of locks wait for it; what is locked stays locked."
                    </p>
                    <p>
                        "Look whether the S3 endpoint is up and can be reached from the server. It is asked again at "
                        <At at=silence.asked_again_at /> ", and the work goes on by itself when it answers."
                    </p>
                </div>
            </div>
        }
    })
}
