//! Figures in words, the same everywhere: in the console, in the server's reasons and in the agent's output.

/// A size in binary units: `0 B`, `812 KiB`, `1.25 GiB`.
#[must_use]
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut unit = 0;
    let mut scale = 1024_u128;
    let size = u128::from(size);
    // 1023.95 KiB would be written 1024 KiB: that is 1.00 MiB.
    while unit + 1 < UNITS.len() && size * 2 >= scale * 1024 * 2 - scale {
        unit += 1;
        scale *= 1024;
    }
    let hundredths = (size * 100 + scale / 2) / scale;
    let text = match hundredths {
        0..1_000 => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        1_000..10_000 => {
            let tenths = (size * 10 + scale / 2) / scale;
            format!("{}.{}", tenths / 10, tenths % 10)
        }
        _ => ((size + scale / 2) / scale).to_string(),
    };
    format!("{text} {}", UNITS[unit])
}

/// A count with thousands apart: `12,345`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, the one plural of the console, of the server's reasons and of the agent's output: `1 file`, `12,345 files`.
#[must_use]
pub fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.00 KiB");
        assert_eq!(bytes(1_048_575), "1.00 MiB");
        assert_eq!(bytes(15_728_640), "15.0 MiB");
        assert_eq!(bytes(812 * 1024 * 1024), "812 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(counted(1, "file", "files"), "1 file");
    }
}
