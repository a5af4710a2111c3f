//! The five fields of a cron line: what each may hold, and what to write instead of what is refused.

use super::error::ScheduleError;

/// In the order of the line.
pub(super) const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        range: (0, 59),
        letters: Letters::None,
        allowed: "0 to 59, lists (0,30), ranges (0-30), steps (*/15) or *",
    },
    Field {
        name: "hour",
        range: (0, 23),
        letters: Letters::None,
        allowed: "0 to 23, lists (8,20), ranges (8-18), steps (*/4) or *",
    },
    Field {
        name: "day of month",
        range: (1, 31),
        letters: Letters::MonthDay,
        allowed: "1 to 31, lists (1,15), ranges (1-7), L for the last day, 15W for the nearest working day, or *",
    },
    Field {
        name: "month",
        range: (1, 12),
        letters: Letters::Names(&MONTHS),
        allowed: "1 to 12 or JAN to DEC, lists (1,7), ranges (1-6), steps (*/3) or *",
    },
    Field {
        name: "day of week",
        range: (0, 7),
        letters: Letters::Names(&WEEKDAYS),
        allowed: "0 (Sunday) to 7 (Sunday) or SUN to SAT, lists (1,4), ranges (1-5), 1#2 for the second Monday, 5L for \
                  the last Friday, or *",
    },
];

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

pub(super) struct Field {
    name: &'static str,
    /// The lowest and the highest number. The day of week has Sunday twice, as 0 and 7.
    range: (u16, u16),
    letters: Letters,
    allowed: &'static str,
}

/// Which words a field may hold besides digits and signs.
enum Letters {
    None,
    MonthDay,
    Names(&'static [&'static str]),
}

impl Field {
    /// croner replaces names wherever they stand, so that `1JAN` would be November, and passes over what is
    /// missing in a list. A backup schedule is better refused than guessed.
    pub fn check(&self, text: &str) -> Result<(), ScheduleError> {
        let (plus, list) = match text.strip_prefix('+') {
            Some(list) => ("+", list),
            None => ("", text),
        };
        for item in list.split(',') {
            if item.is_empty() || !self.words_allowed(&item.to_ascii_uppercase()) {
                return Err(self.error(text));
            }
        }
        match self.forwards(list) {
            Some(instead) => Err(ScheduleError::CronBackwards {
                field: self.name,
                text: text.to_owned(),
                instead: format!("{plus}{instead}"),
            }),
            None => Ok(()),
        }
    }

    /// Refuses a step that is larger than the field: crond and croner take `*/70` for `0`.
    pub fn check_steps(&self, text: &str) -> Result<(), ScheduleError> {
        let (low, high) = self.range;
        let step_of = |item: &str| {
            let step = item.split_once('/')?.1;
            let digits = step.find(|c: char| !c.is_ascii_digit()).unwrap_or(step.len());
            step[..digits].parse::<u16>().ok()
        };
        let beyond = text
            .split(',')
            .find(|item| step_of(item).is_some_and(|step| step > high));
        match beyond {
            Some(item) => Err(ScheduleError::CronStep {
                field: self.name,
                text: item.to_owned(),
                low,
                high,
            }),
            None => Ok(()),
        }
    }

    fn words_allowed(&self, item: &str) -> bool {
        let is_letter = |c: char| c.is_ascii_alphabetic();
        let mut rest = item;
        let mut before = None;
        while let Some(start) = rest.find(is_letter) {
            let end = rest[start..]
                .find(|c| !is_letter(c))
                .map_or(rest.len(), |length| start + length);
            let word = &rest[start..end];
            let digit_before = rest[..start]
                .chars()
                .next_back()
                .or(before)
                .is_some_and(|c| c.is_ascii_digit());
            let digit_after = rest[end..].starts_with(|c: char| c.is_ascii_digit());
            let allowed = match self.letters {
                Letters::None => false,
                Letters::MonthDay => {
                    matches!(word, "L" | "LW") && !digit_before || word == "W" && digit_before
                }
                Letters::Names(names) => {
                    let name = word
                        .strip_suffix('L')
                        .filter(|name| names.contains(name))
                        .unwrap_or(word);
                    names.contains(&name) && !digit_before || word == "L" && start > 0
                }
            };
            if !allowed || digit_after {
                return false;
            }
            before = word.chars().next_back();
            rest = &rest[end..];
        }
        true
    }

    /// The list with each range that runs backwards, such as `22-4`, written as croner and crond read it: up to the
    /// field's end and on from its beginning. `None` when there is no such range.
    fn forwards(&self, list: &str) -> Option<String> {
        let mut found = false;
        let items: Vec<String> = list
            .split(',')
            .map(|item| match self.split_at_end(item) {
                Some(split) => {
                    found = true;
                    split
                }
                None => item.to_owned(),
            })
            .collect();
        found.then(|| items.join(","))
    }

    fn split_at_end(&self, item: &str) -> Option<String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (item, 1),
        };
        let (from_text, to_text) = range.split_once('-')?;
        let (from, to) = (self.value(from_text)?, self.value(to_text)?);
        // `FRI-SUN` runs to the end of the week.
        let to_sunday = self.is_week() && to_text.eq_ignore_ascii_case("SUN");
        if from <= to || to_sunday {
            return None;
        }
        let low = self.range.0;
        let last = if self.is_week() { 6 } else { self.range.1 };
        let named = from_text.starts_with(|c: char| c.is_ascii_alphabetic());
        if from > last {
            // From Sunday as the seventh day: Sunday as the day before the first.
            return Some(self.part(low, to, step, named));
        }
        let first_part = self.part(from, last, step, named);
        let steps_to_end = (last - from) / step;
        let next = low + (from + (steps_to_end + 1) * step - last - 1);
        if next > to {
            return Some(first_part);
        }
        Some(format!("{first_part},{}", self.part(next, to, step, named)))
    }

    fn is_week(&self) -> bool {
        self.range == (0, 7)
    }

    /// What a number or a name means; `None` beyond the field's range.
    fn value(&self, text: &str) -> Option<u16> {
        let (low, high) = self.range;
        if let Letters::Names(names) = self.letters
            && let Some(index) = names.iter().position(|name| name.eq_ignore_ascii_case(text))
        {
            return u16::try_from(index).ok().map(|index| low + index);
        }
        text.parse().ok().filter(|value| (low..=high).contains(value))
    }

    fn part(&self, from: u16, to: u16, step: u16, named: bool) -> String {
        let write = |value: u16| match self.letters {
            Letters::Names(names) if named => names
                .get(usize::from(value - self.range.0))
                .map_or_else(|| value.to_string(), |name| (*name).to_owned()),
            _ => value.to_string(),
        };
        if from.saturating_add(step) > to {
            write(from)
        } else if step == 1 {
            format!("{}-{}", write(from), write(to))
        } else {
            format!("{}-{}/{step}", write(from), write(to))
        }
    }

    pub fn error(&self, text: &str) -> ScheduleError {
        ScheduleError::CronField {
            field: self.name,
            text: text.to_owned(),
            allowed: self.allowed,
        }
    }
}
