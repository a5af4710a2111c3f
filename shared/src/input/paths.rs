//! Paths and patterns of a source, one a line.

use super::error::InputError;
use crate::source_paths::{SourcePaths, SourcePathsError};

/// The lines that hold something, trimmed.
#[must_use]
pub fn lines(typed: &str) -> Vec<String> {
    typed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Absolute paths, one a line.
///
/// # Errors
/// See [`SourcePathsError`].
pub fn paths(typed: &str) -> Result<Vec<String>, InputError> {
    let read = SourcePaths::read(lines(typed), Vec::new()).map_err(refused)?;
    Ok(read.paths)
}

/// Patterns in gitignore syntax, one a line.
///
/// # Errors
/// See [`SourcePathsError`].
pub fn excludes(typed: &str) -> Result<Vec<String>, InputError> {
    let read = SourcePaths::read(vec!["/".to_owned()], lines(typed)).map_err(refused)?;
    Ok(read.excludes)
}

fn refused(error: SourcePathsError) -> InputError {
    InputError::new(error.field(), format!("{error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_no_paths() {
        assert_eq!(lines("/srv\r\n\r\n  /home \n"), ["/srv", "/home"]);
        assert_eq!(paths("/srv\n\n /home ").unwrap(), ["/home", "/srv"]);
    }

    #[test]
    fn each_field_is_judged_alone() {
        assert_eq!(paths(" \n").unwrap_err().field(), "paths");
        assert_eq!(paths("srv").unwrap_err().field(), "paths");
        assert_eq!(excludes(""), Ok(Vec::new()));
        assert_eq!(excludes("a\0").unwrap_err().field(), "excludes");
    }
}
