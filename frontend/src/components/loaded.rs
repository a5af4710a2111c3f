//! A page's content once its data is there.

use leptos::prelude::*;

use super::problem::{Loading, problem_page};
use crate::error::ConsoleError;

/// Shows what `content` makes of the data, again whenever the data was fetched again, and says why it could not be fetched.
#[component]
pub fn Loaded<T, F>(
    /// The data.
    data: Resource<Result<T, ConsoleError>>,
    /// Makes the content.
    content: F,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    view! {
        <Transition fallback=|| view! { <Loading /> }>
            {move || {
                let content = content.clone();
                Suspend::new(async move {
                    match data.await {
                        Ok(data) => content(data),
                        Err(error) => problem_page(error),
                    }
                })
            }}
        </Transition>
    }
    .into_any()
}
