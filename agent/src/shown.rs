//! Names of files as people may see them. A name is bytes that anybody may have chosen: what does not print, or would
//! steer a terminal, is escaped.

/// A name or path for messages: text as it is, control characters and bytes that are no UTF-8 as `\x1b`.
#[must_use]
pub fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for part in name.utf8_chunks() {
        for letter in part.valid().chars() {
            if letter.is_control() {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        for byte in part.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_what_steers_a_terminal_does_not() {
        assert_eq!(shown("Übersicht 漢字.txt".as_bytes()), "Übersicht 漢字.txt");
        assert_eq!(shown(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\\xff");
    }
}
