//! What is known of a field while its form is on the screen: its text, and why the text is refused.

use leptos::prelude::*;

use super::field::{Field, Kind};
use crate::{error::ConsoleError, refused::Typed};

/// The form around a field: what was typed into it before, and why the server refused it.
#[derive(Clone, Copy)]
struct FormContext {
    typed: Typed,
    error: Signal<Option<ConsoleError>>,
}

/// Makes a form known to its fields.
pub fn provide_form(typed: Typed, error: Signal<Option<ConsoleError>>) {
    provide_context(FormContext { typed, error });
}

/// A field on the screen.
#[derive(Clone, Copy)]
pub struct FieldState {
    /// Its description.
    pub field: Field,
    form: Option<FormContext>,
    /// What the rule said of the text last, once the text was changed here.
    checked: RwSignal<Option<Result<(), String>>>,
}

impl FieldState {
    /// Of a field of the form around it.
    pub fn of(field: Field) -> Self {
        let form = use_context::<FormContext>();
        let checked = RwSignal::new(None::<Result<(), String>>);
        if let Some(form) = form {
            // What the server says last is said last.
            Effect::new(move || {
                form.error.track();
                checked.set(None);
            });
        }
        Self { field, form, checked }
    }

    /// What it holds when the page is made.
    pub fn value(self) -> String {
        if self.field.kind == Kind::Secret {
            return String::new();
        }
        let typed = self.form.and_then(|form| form.typed.get(self.field.name));
        typed.unwrap_or_else(|| self.field.initial.to_owned())
    }

    /// Why its text is refused: by the rule since the text was changed, by the server before.
    pub fn message(self) -> Option<String> {
        match self.checked.get() {
            Some(checked) => checked.err(),
            None => self.said_by_server(),
        }
    }

    fn said_by_server(self) -> Option<String> {
        match self.form?.error.get() {
            Some(ConsoleError::Refused {
                field: Some(field),
                message,
            }) if field == self.field.name => Some(message),
            _ => None,
        }
    }

    /// The value of `aria-invalid`.
    pub fn invalid(self) -> Option<&'static str> {
        self.message().map(|_| "true")
    }

    /// The value of `aria-describedby`.
    pub fn described_by(self) -> Option<String> {
        let id = self.field.id;
        let error = self.message().map(|_| format!("{id}-error"));
        let hint = (!self.field.hint.is_empty()).then(|| format!("{id}-hint"));
        let elsewhere = self.field.described_by.map(str::to_owned);
        let ids: Vec<String> = [error, hint, elsewhere].into_iter().flatten().collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    /// The field is left with another text in it: the rule judges it.
    pub fn left_with(self, text: &str) {
        if let Some(rule) = self.field.rule {
            self.checked
                .set(Some(rule(text).map_err(|error| error.to_string())));
        }
    }

    /// Something is typed: the rule judges it when there was something to mend.
    pub fn typed(self, text: &str) {
        if untrack(|| self.message()).is_some() {
            self.left_with(text);
        }
    }
}
