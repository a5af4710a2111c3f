//! Names, texts and numbers of any field.

use super::error::InputError;
use crate::{limits::Limit, text as letters};

/// A name: trimmed, 1 to 100 characters.
///
/// # Errors
/// When it is empty, too long, or has a hidden character in it.
pub fn name(field: &'static str, text: &str) -> Result<String, InputError> {
    let text = text.trim();
    let most = Limit::Name.max();
    if text.is_empty() || text.chars().count() > most {
        return Err(InputError::new(
            field,
            format!("{field}: give 1 to {most} characters."),
        ));
    }
    shows(field, text)?;
    Ok(text.to_owned())
}

/// A text that is not a name: trimmed, not empty, of at most so many bytes. `what` names it in the sentence for an empty one.
///
/// # Errors
/// When it is empty, too long, or has a hidden character in it.
pub fn text(field: &'static str, text: &str, limit: Limit, what: &str) -> Result<String, InputError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InputError::new(field, format!("{field}: give {what}.")));
    }
    bounded(field, text.len(), limit)?;
    shows(field, text)?;
    Ok(text.to_owned())
}

/// A whole number. `what` names it in the sentence for anything else.
///
/// # Errors
/// When it is none.
pub fn whole_number(field: &'static str, text: &str, what: &str, such_as: u32) -> Result<u32, InputError> {
    text.trim()
        .parse()
        .map_err(|_| InputError::new(field, format!("{what}: write a whole number, such as {such_as}.")))
}

/// Refuses what is more than a limit allows.
///
/// # Errors
/// When `is` is above the limit.
pub fn bounded(field: &'static str, is: usize, limit: Limit) -> Result<(), InputError> {
    let most = limit.max();
    if is <= most {
        return Ok(());
    }
    let unit = limit.unit().name();
    let message = format!("{field}: {is} {unit} are too many; use at most {most}.").replace("  ", " ");
    Err(InputError::new(field, message))
}

/// Refuses characters that do not show: NUL, which the database does not take, and marks of direction, with which a name reads
/// as another one.
fn shows(field: &'static str, text: &str) -> Result<(), InputError> {
    match letters::hidden(text) {
        None => Ok(()),
        Some(letter) => {
            let number = letters::number(letter);
            let message =
                format!("{field}: the hidden character {number} is in it; type it anew, without that.");
            Err(InputError::new(field, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        let longest = "ä".repeat(Limit::Name.max());
        assert_eq!(name("name", " Main ").as_deref(), Ok("Main"));
        assert_eq!(name("name", &longest).as_ref(), Ok(&longest));
        for bad in ["", "  ", &format!("{longest}x"), "a\u{202e}b"] {
            let refused = name("name", bad).unwrap_err();
            assert_eq!(refused.field(), "name");
            assert!(refused.to_string().starts_with("name: "), "{refused}");
        }
    }

    #[test]
    fn texts_are_bounded_in_bytes() {
        let longest = "x".repeat(Limit::Region.max());
        assert_eq!(
            text("region", &longest, Limit::Region, "it").as_ref(),
            Ok(&longest)
        );
        for (bad, said) in [
            (" ", "region: give it."),
            (
                &*format!("{longest}x"),
                "region: 65 bytes are too many; use at most 64.",
            ),
            (
                "a\0",
                "region: the hidden character U+0000 is in it; type it anew, without that.",
            ),
        ] {
            let refused = text("region", bad, Limit::Region, "it").unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
    }

    #[test]
    fn numbers_are_whole() {
        assert_eq!(whole_number("days", " 90 ", "Days", 7), Ok(90));
        for bad in ["", "-1", "1.5", "ninety", "4294967296"] {
            let refused = whole_number("days", bad, "Days", 7).unwrap_err();
            assert_eq!(refused.to_string(), "Days: write a whole number, such as 7.");
        }
    }
}
