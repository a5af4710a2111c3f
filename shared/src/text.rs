//! Text that somebody else wrote, on its way to people: letters that do not show, or that change the order in which the letters
//! around them are shown, are refused where text is typed and escaped where text is shown.

/// Whether a letter does not show as itself: control characters, among them NUL and line ends; marks, embeddings, overrides
/// and isolates of direction, with which `gpj.exe` is shown as `exe.jpg`; and characters without any width.
///
/// The two joiners (U+200C, U+200D) are no hidden letters: words of several languages, and many emoji, are spelt with them.
#[must_use]
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width space.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'
            // Marks of direction; separators of lines and paragraphs; embeddings and overrides.
            | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated formats.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, annotations, musical formats, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// The first letter that does not show, if there is one.
#[must_use]
pub fn hidden(text: &str) -> Option<char> {
    text.chars().find(|letter| is_hidden(*letter))
}

/// A text as it may be shown and stored: hidden letters as `\n`, `\u{202e}` and the like.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A letter's number, as Unicode writes it: `U+202E`.
#[must_use]
pub fn number(letter: char) -> String {
    format!("U+{:04X}", u32::from(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_do_not_show_are_hidden_and_others_are_not() {
        for hidden in [
            '\0',
            '\t',
            '\n',
            '\x1b',
            '\x7f',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(is_hidden(hidden), "{}", number(hidden));
        }
        for plain in [
            "Übersicht 漢字.txt",
            "می\u{200c}خواهم",
            "👩\u{200d}💻",
            "עברית",
            "a b\u{a0}c",
            "\u{fffd}",
        ] {
            assert_eq!(hidden(plain), None, "{plain}");
            assert_eq!(shown(plain), plain);
        }
    }

    #[test]
    fn what_is_hidden_is_shown_by_its_number() {
        assert_eq!(hidden("invoice\u{202e}gpj.exe"), Some('\u{202e}'));
        assert_eq!(shown("invoice\u{202e}gpj.exe"), "invoice\\u{202e}gpj.exe");
        assert_eq!(shown("a\0b\x1b[2J\n"), "a\\u{0}b\\u{1b}[2J\\n");
        assert_eq!(
            (number('\0'), number('\u{202e}')),
            ("U+0000".into(), "U+202E".into())
        );
    }
}
