//! How xtask writes: figures, boxes, one line a fact.

use std::time::Duration;

/// A line that says what is being done.
pub fn doing(what: &str) {
    println!("▸ {what}");
}

/// A size for people.
#[allow(clippy::cast_precision_loss)]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with its thousands apart.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `3 files`, `1 file`.
pub fn count(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A duration for people.
pub fn duration(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

/// A box of lines. An empty line is a rule.
pub fn boxed(title: &str, lines: &[String]) {
    let width = lines
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0)
        .max(title.chars().count() + 2);
    let rule = |left: char, right: char, label: &str| {
        let label = if label.is_empty() {
            String::new()
        } else {
            format!(" {label} ")
        };
        let rest = (width + 2).saturating_sub(label.chars().count() + 1);
        println!("{left}─{label}{}{right}", "─".repeat(rest));
    };
    rule('╭', '╮', title);
    for line in lines {
        if line.is_empty() {
            rule('├', '┤', "");
        } else {
            println!("│ {line}{} │", " ".repeat(width - line.chars().count()));
        }
    }
    rule('╰', '╯', "");
}

/// Breaks a sentence into lines of at most `width` characters.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(30 * 1024 * 1024), "30.0 MiB");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(duration(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn long_sentences_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
