//! A cron line in words: from what was read and not from what was written, so that a misunderstanding shows.

use super::cron::{DayField, Line};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// From Sunday, as cron lines number them.
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Up to so many times of a day are told one by one.
const SINGLE_TIMES: usize = 4;

/// `At 12:00 on days 1, 3, 5 … 31 of the month, but only if that is a Mon`.
pub(super) fn words(line: &Line) -> String {
    let Times { words, daily } = times(line);
    let days = match (line.month_days(), line.weekdays()) {
        (None, None) if daily => " every day".to_owned(),
        (None, None) => String::new(),
        (Some(days), None) => format!(" on {} of the month", month_days(&days)),
        (None, Some(days)) => format!(" on {}", weekdays(&days, false)),
        (Some(month), Some(week)) if line.needs_both_days() => format!(
            " on {} of the month, but only if that is {}",
            month_days(&month),
            weekdays(&week, true)
        ),
        (Some(month), Some(week)) => format!(
            " on {} of the month, and besides on each {}",
            month_days(&month),
            weekdays(&week, false)
        ),
    };
    let months = line.months();
    let months = if months.len() < MONTHS.len() {
        format!(", in {}", series(&months, |month| name(&MONTHS, month - 1)))
    } else {
        String::new()
    };
    format!("{words}{days}{months}")
}

struct Times {
    words: String,
    /// Whether the words are those of single times, after which `every day` reads well.
    daily: bool,
}

fn times(line: &Line) -> Times {
    let (hours, minutes) = (line.hours(), line.minutes());
    if hours.len() * minutes.len() <= SINGLE_TIMES {
        let times: Vec<String> = hours
            .iter()
            .flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")))
            .collect();
        return Times {
            words: format!("At {}", listed(&times)),
            daily: true,
        };
    }
    let whole_hour = even_steps(&minutes, 60).filter(|_| minutes[0] == 0);
    let words = match (hours.len() == 24, whole_hour, minutes.as_slice()) {
        (true, Some(step), _) => format!("Every {step} minutes"),
        (true, None, [0]) => "Every hour, on the hour".to_owned(),
        (true, None, _) => format!("Every hour, {} min past", series(&minutes, plain)),
        (false, Some(step), _) => {
            format!("Every {step} minutes in the hours {}", series(&hours, plain))
        }
        (false, None, [minute]) => match even_steps(&hours, 24) {
            Some(step) => format!("Every {step} hours, from {:02}:{minute:02}", hours[0]),
            None => format!("At {minute} min past the hours {}", series(&hours, plain)),
        },
        (false, None, _) => format!(
            "At {} min past the hours {}",
            series(&minutes, plain),
            series(&hours, plain)
        ),
    };
    Times { words, daily: false }
}

/// The distance of numbers that lie at one distance, also from the last to the first of the next round.
fn even_steps(numbers: &[u16], round: u16) -> Option<u16> {
    let step = numbers.get(1)? - numbers[0];
    let even = numbers.windows(2).all(|pair| pair[1] - pair[0] == step);
    (even && usize::from(step) * numbers.len() == usize::from(round)).then_some(step)
}

fn month_days(days: &DayField<'_>) -> String {
    let mut parts = Vec::new();
    match days.values.as_slice() {
        [] => {}
        [day] => parts.push(format!("day {day}")),
        values => parts.push(format!("days {}", series(values, plain))),
    }
    for special in &days.special {
        parts.push(match special.strip_suffix('W') {
            None => "the last day".to_owned(),
            Some("L") => "the last working day".to_owned(),
            Some(day) => format!("the working day nearest to day {day}"),
        });
    }
    listed(&parts)
}

/// `condition`: what a day must be, such as `a Mon` or `one of Mon to Fri`, instead of which days there are.
fn weekdays(days: &DayField<'_>, condition: bool) -> String {
    let mut parts = Vec::new();
    // From Monday.
    let mut values: Vec<u16> = days.values.iter().map(|day| (day + 6) % 7).collect();
    values.sort_unstable();
    if !values.is_empty() {
        let days = series(&values, |day| name(&WEEKDAYS, (day + 1) % 7));
        parts.push(match (condition, values.len()) {
            (false, _) => days,
            (true, 1) => format!("a {days}"),
            (true, _) => format!("one of {days}"),
        });
    }
    parts.extend(days.special.iter().map(|special| special_weekday(special)));
    if condition {
        parts.join(" or ")
    } else {
        listed(&parts)
    }
}

/// `1#2`, `FRI#2`, `5L` or `FRIL`.
fn special_weekday(special: &str) -> String {
    let (day, which) = match special.split_once('#') {
        Some((day, nth)) => (
            day,
            match nth {
                "1" => "first",
                "2" => "second",
                "3" => "third",
                "4" => "fourth",
                "5" => "fifth",
                _ => "last",
            },
        ),
        None => (special.trim_end_matches('L'), "last"),
    };
    let named = WEEKDAYS.iter().find(|name| name.eq_ignore_ascii_case(day));
    let day = match (named, day.parse::<u16>()) {
        (Some(name), _) => (*name).to_owned(),
        (None, Ok(number)) => name(&WEEKDAYS, number % 7),
        (None, Err(_)) => day.to_owned(),
    };
    format!("the {which} {day} of the month")
}

/// Numbers in order, those that follow each other from one to another (`1 to 5`), and many at one distance by the
/// first three and the last (`1, 3, 5 … 31`).
fn series(numbers: &[u16], name: impl Fn(u16) -> String) -> String {
    if let [first, second, third, .., last] = numbers
        && numbers.len() > SINGLE_TIMES
        && second - first > 1
        && numbers.windows(2).all(|pair| pair[1] - pair[0] == second - first)
    {
        return format!(
            "{}, {}, {} … {}",
            name(*first),
            name(*second),
            name(*third),
            name(*last)
        );
    }
    let mut parts = Vec::new();
    for run in numbers.chunk_by(|first, second| second - first == 1) {
        match run {
            [first, _, .., last] => parts.push(format!("{} to {}", name(*first), name(*last))),
            run => parts.extend(run.iter().map(|number| name(*number))),
        }
    }
    listed(&parts)
}

fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn plain(number: u16) -> String {
    number.to_string()
}

fn name(names: &[&str], index: u16) -> String {
    names
        .get(usize::from(index))
        .map_or_else(|| plain(index), |name| (*name).to_owned())
}
