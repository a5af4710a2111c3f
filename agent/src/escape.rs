//! Names of files, and words of servers and stores, as people may see them. Anybody may have chosen them: what does not print,
//! would steer a terminal, or turns the letters around is escaped.
//!
//! Neither `str::escape_debug` nor bstr does this: both escape quotes and backslashes as well, so that a path could not be copied from
//! a message, and letters that Unicode has assigned since the standard library's tables were made.

use std::io::{self, Write};

use shared::text::{self, is_hidden};

/// A name or path for messages: text as it is, hidden characters as `\u{1b}` and bytes that are no UTF-8 as `\xff`.
#[must_use]
pub fn escaped(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    for part in name.utf8_chunks() {
        shown.push_str(&text::shown(part.valid()));
        for byte in part.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// JSON as it may go to a terminal: the same values, with hidden characters as `\u202e`. serde_json escapes only those below
/// U+0020, and they stand in strings alone.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_hidden(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Passes lines on, each written at once, with hidden characters escaped: for logs, whose fields are names and strangers' words.
/// A line end within what is written at once is escaped too, so that no field looks like another line.
pub struct EscapedLines<W>(pub W);

impl<W: Write> Write for EscapedLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut line = escaped(line);
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_what_steers_a_terminal_or_turns_letters_around_does_not() {
        assert_eq!(escaped("Übersicht 漢字.txt".as_bytes()), "Übersicht 漢字.txt");
        assert_eq!(escaped(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\\xff");
        assert_eq!(
            escaped("invoice\u{202e}gpj.exe".as_bytes()),
            "invoice\\u{202e}gpj.exe"
        );
        assert_eq!(escaped(b"a\0b"), "a\\u{0}b");
    }

    #[test]
    fn json_keeps_its_values() {
        for text in [
            "plain",
            "a\u{202e}b\u{9b}c\u{7f}",
            "\u{e0041}\u{feff}",
            "\0\x1b\n\"\\",
        ] {
            let shown = escaped_json(&serde_json::to_string(&[text]).unwrap());
            assert_eq!(text::hidden(&shown), None, "{shown}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
        }
    }

    #[test]
    fn a_line_of_the_log_is_one_line() {
        let mut written = Vec::new();
        let line = b"WARN left out path=a\nWARN all is well \xe2\x80\xae\n";
        EscapedLines(&mut written).write_all(line).unwrap();
        let expected = "WARN left out path=a\\nWARN all is well \\u{202e}\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
