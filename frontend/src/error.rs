//! The console's one error type.

use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};
use shared::input::InputError;

/// Why a request of the console was not carried out. The messages are for the person at the screen and hold
/// no secret and no detail of the server's inside: that is in the server's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", content = "message", rename_all = "snake_case")]
pub enum ConsoleError {
    /// Nobody is signed in.
    #[error("Your session has ended, or you have not signed in yet: nothing was done.")]
    SignInNeeded,
    /// E-mail address or password is wrong.
    #[error("E-mail address or password is wrong.")]
    WrongCredentials,
    /// Too many attempts.
    #[error("Too many attempts. Wait a minute, then try again.")]
    TooManyAttempts,
    /// The server has more to do than it can.
    #[error("The server has too much to do just now. Try again in a few seconds.")]
    Busy,
    /// It does not exist, or is not this person's to see.
    #[error("There is no such {0} here.")]
    NotFound(String),
    /// The request can not be carried out as it is; says what to do.
    #[error("{message}")]
    Refused {
        /// The field of the form that it is about, if it is about one.
        field: Option<String>,
        /// What to do.
        message: String,
    },
    /// The server failed; the log knows why.
    #[error("Something went wrong on the server. Its log says what; try again in a moment.")]
    Internal,
    /// The browser could not reach the server or read its answer.
    #[error(
        "The server gave no usable answer, so it is not known whether this was done. Look, then try again."
    )]
    Unreachable,
}

impl ConsoleError {
    /// A form that did not arrive as it was made.
    #[must_use]
    pub fn unreadable() -> Self {
        Self::Refused {
            field: None,
            message: "The form did not arrive whole. Reload the page, then try again.".to_owned(),
        }
    }

    /// A refusal of one field. What was typed may be repeated in the message: hidden characters are escaped.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Refused {
            field: Some(field.to_owned()),
            message: shared::text::shown(&message.into()),
        }
    }
}

impl From<InputError> for ConsoleError {
    fn from(error: InputError) -> Self {
        Self::field(error.field(), error.to_string())
    }
}

impl FromServerFnError for ConsoleError {
    type Encoder = JsonEncoding;

    /// On the server it is what the arguments of a call are refused with; the hydrated console sends none that are.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => Self::unreadable(),
            _ => Self::Unreachable,
        }
    }
}
