//! Who is signed in.

use leptos::prelude::*;
use shared::api::view::Me;

use crate::error::ConsoleError;

/// Who is signed in. In the context of every page for people who are signed in.
#[derive(Clone, Copy)]
pub struct Person(pub Resource<Result<Option<Me>, ConsoleError>>);
