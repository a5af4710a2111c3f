//! The first operator's password, as whoever starts the server gives it: in a file, on standard input, or in the environment. It is
//! no argument: other users of the machine can see those.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use shared::limits::Limit;
use zeroize::Zeroizing;

/// The variable that it may be in.
pub const VARIABLE: &str = "HOLDFAST_OPERATOR_PASSWORD";

/// Why no password was read.
#[derive(Debug, thiserror::Error)]
pub enum FirstPasswordError {
    /// Nothing is in it.
    #[error("the first line of {0} is empty: the first operator's password is expected there")]
    Missing(String),
    /// More than a password.
    #[error("the first line of {from} is longer than the {most} bytes that a password may have", most = Limit::Password.max())]
    TooLong {
        /// Where it was read.
        from: String,
    },
    /// It does not read.
    #[error("the first operator's password can not be read from {from}: {error}")]
    Io {
        /// Where it was to be read.
        from: String,
        /// What the system says.
        error: io::Error,
    },
    /// Two of them.
    #[error("the first operator's password is given twice: in a file, and in {VARIABLE}")]
    Twice,
}

/// The password in the file, of which `-` is standard input, or in the variable; `None` when neither is given.
///
/// # Errors
/// See [`FirstPasswordError`].
pub fn given(file: Option<&Path>, variable: Option<String>) -> Result<Option<String>, FirstPasswordError> {
    let path = match (file, variable) {
        (Some(_), Some(_)) => return Err(FirstPasswordError::Twice),
        (None, variable) => return Ok(variable),
        (Some(path), None) => path,
    };
    if path == Path::new("-") {
        return line(io::stdin(), "standard input").map(Some);
    }
    let from = path.display().to_string();
    match File::open(path) {
        Ok(file) => line(file, &from).map(Some),
        Err(error) => Err(FirstPasswordError::Io { from, error }),
    }
}

/// The first line without its end, and no more than a password can have. Spaces belong to it.
fn line(from: impl Read, name: &str) -> Result<String, FirstPasswordError> {
    let most = Limit::Password.max();
    // With room for the line end, and one byte that tells a longer one.
    let bound = most + 3;
    let mut line = Zeroizing::new(String::with_capacity(bound));
    BufReader::new(from.take(bound as u64))
        .read_line(&mut line)
        .map_err(|error| FirstPasswordError::Io {
            from: name.to_owned(),
            error,
        })?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(FirstPasswordError::Missing(name.to_owned()));
    }
    if text.len() > most {
        return Err(FirstPasswordError::TooLong {
            from: name.to_owned(),
        });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_and_bounded() {
        let read = |text: &str| line(text.as_bytes(), "x").map_err(|error| error.to_string());
        for text in ["twelve letters", "twelve letters\n", "twelve letters\r\nmore\n"] {
            assert_eq!(read(text).as_deref(), Ok("twelve letters"), "{text:?}");
        }
        assert_eq!(read(" with spaces \n").as_deref(), Ok(" with spaces "));
        for text in ["", "\n", "\r\n", "\nsecond line"] {
            assert!(read(text).unwrap_err().contains("empty"), "{text:?}");
        }
        let longest = "x".repeat(Limit::Password.max());
        assert_eq!(read(&format!("{longest}\r\n")).as_deref(), Ok(longest.as_str()));
        for longer in [
            format!("{longest}x"),
            format!("{longest}x\n"),
            "x".repeat(1 << 20),
        ] {
            let said = read(&longer).unwrap_err();
            assert!(said.contains("1024 bytes") && !said.contains("xx"), "{said}");
        }
        // No end at all, and no text.
        assert!(line(io::repeat(b'x'), "x").is_err());
        assert!(line(&b"\xff\xff"[..], "x").is_err());
    }

    #[test]
    fn it_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "of the file, long\n").unwrap();
        let of_variable = || Some("of the variable".to_owned());
        assert_eq!(given(None, None).unwrap(), None);
        assert_eq!(given(None, of_variable()).unwrap(), of_variable());
        assert_eq!(given(Some(&file), None).unwrap().unwrap(), "of the file, long");
        assert!(matches!(
            given(Some(&file), of_variable()),
            Err(FirstPasswordError::Twice)
        ));
        let missing = folder.path().join("missing");
        let said = given(Some(&missing), None).unwrap_err().to_string();
        assert!(said.contains("missing"), "{said}");
    }
}
