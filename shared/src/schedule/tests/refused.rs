//! What is stored, how it reads, and what is refused with which words.

use jiff::{Timestamp, civil::Weekday};

use super::{cron, schedule};
use crate::schedule::{MonthDay, Recurrence, Schedule, ScheduleError, Weekdays};

fn error(schedule: &Schedule) -> String {
    schedule.validate().unwrap_err().to_string()
}

fn refused(line: &str) -> String {
    error(&cron(line, "UTC"))
}

#[test]
fn what_was_stored_before_still_reads() {
    let old =
        r#"{"recurrence":{"every":"week","weekday":4,"hour":2,"minute":30},"time_zone":"Europe/Berlin"}"#;
    let read: Schedule = serde_json::from_str(old).unwrap();
    assert_eq!(
        read.recurrence,
        Recurrence::Week {
            weekdays: Weekday::Thursday.into(),
            hour: 2,
            minute: 30
        }
    );
    for old in [
        r#"{"every":"manual"}"#,
        r#"{"every":"hour","minute":7}"#,
        r#"{"every":"day","hour":2,"minute":30}"#,
    ] {
        let read: Recurrence = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }
}

#[test]
fn json_reads_back() {
    for (json, recurrence) in [
        (
            r#"{"every":"week","weekdays":[1,4],"hour":2,"minute":30}"#,
            Recurrence::Week {
                weekdays: Weekdays::new([4, 1, 4]).unwrap(),
                hour: 2,
                minute: 30,
            },
        ),
        (
            r#"{"every":"month","day":15,"hour":2,"minute":30}"#,
            Recurrence::Month {
                day: MonthDay::new(15).unwrap(),
                hour: 2,
                minute: 30,
            },
        ),
        (
            r#"{"every":"month","day":"last","hour":2,"minute":30}"#,
            Recurrence::Month {
                day: MonthDay::LAST,
                hour: 2,
                minute: 30,
            },
        ),
        (
            r#"{"every":"cron","line":"30 2 * * 1-5"}"#,
            Recurrence::Cron {
                line: "30 2 * * 1-5".into(),
            },
        ),
    ] {
        assert_eq!(serde_json::to_string(&recurrence).unwrap(), json);
        assert_eq!(serde_json::from_str::<Recurrence>(json).unwrap(), recurrence);
    }
}

#[test]
fn json_that_says_something_else_is_refused() {
    for (json, reason) in [
        (
            r#"{"every":"week","weekdays":[],"hour":2,"minute":30}"#,
            "weekdays: choose at least one",
        ),
        (
            r#"{"every":"week","weekdays":[1,8],"hour":2,"minute":30}"#,
            "weekdays: 8 is out of range",
        ),
        (
            r#"{"every":"week","weekday":0,"hour":2,"minute":30}"#,
            "weekdays: 0 is out of range",
        ),
        (
            r#"{"every":"week","weekday":-300,"hour":2,"minute":30}"#,
            "weekdays: -300 is out of range",
        ),
        (
            r#"{"every":"week","weekday":1,"weekdays":[1],"hour":2,"minute":30}"#,
            "duplicate field",
        ),
        (
            r#"{"every":"month","day":32,"hour":2,"minute":30}"#,
            "day: 32 is out of range; use 1 to 31, or last",
        ),
        (
            r#"{"every":"month","day":0,"hour":2,"minute":30}"#,
            "day: 0 is out of range",
        ),
        (r#"{"every":"month","day":"first","hour":2,"minute":30}"#, "first"),
        (
            r#"{"every":"day","hour":2,"minute":30,"weekday":3}"#,
            "unknown field `weekday`",
        ),
        (r#"{"every":"fortnight"}"#, "unknown variant `fortnight`"),
    ] {
        let error = serde_json::from_str::<Recurrence>(json).unwrap_err().to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
    let error =
        serde_json::from_str::<Schedule>(r#"{"recurrence":{"every":"manual"},"time_zone":"UTC","zone":""}"#);
    assert!(error.unwrap_err().to_string().contains("unknown field `zone`"));
}

#[test]
fn errors_name_the_field_and_say_what_to_do() {
    assert_eq!(
        error(&schedule(Recurrence::Manual, "Mars/Olympus")),
        "time_zone: `Mars/Olympus` is not a time zone; use an IANA name such as Europe/Berlin or UTC"
    );
    for zone in [
        "",
        "Etc/Unknown",
        "Factory",
        "localtime",
        "posixrules",
        "+02:00",
        "../Europe/Berlin",
        "right/Europe/Berlin",
    ] {
        assert!(
            error(&schedule(Recurrence::Manual, zone)).starts_with("time_zone: "),
            "{zone}"
        );
    }
    assert_eq!(
        error(&schedule(Recurrence::Day { hour: 24, minute: 0 }, "UTC")),
        "hour: 24 is out of range; use 0 to 23"
    );
    assert_eq!(
        error(&schedule(Recurrence::Hour { minute: -1 }, "UTC")),
        "minute: -1 is out of range; use 0 to 59"
    );
    assert_eq!(Weekdays::new([]), Err(ScheduleError::NoWeekday));
    assert_eq!(
        Weekdays::new([0]).unwrap_err().to_string(),
        "weekdays: 0 is out of range; use 1 (Monday) to 7 (Sunday)"
    );
    assert!(MonthDay::new(32).is_err());
    assert!(MonthDay::new(0).is_err());
}

#[test]
fn cron_lines_have_five_fields_and_no_nicknames() {
    assert_eq!(
        refused("0 30 2 * * *"),
        "line: a cron line has five fields (minute, hour, day of month, month, day of week), this one has 6; seconds \
         and years are not read. Write for example `30 2 * * 1-5`"
    );
    assert!(refused("").contains("this one has 0"));
    assert_eq!(
        refused("@daily"),
        "line: nicknames such as `@daily` are not read; write five fields instead, such as `30 2 * * *` for each day \
         at 02:30"
    );
    assert_eq!(
        refused(&"1,".repeat(150)),
        "line: the cron line has 300 characters; use at most 200"
    );
}

#[test]
fn cron_errors_name_the_field_of_the_line() {
    assert_eq!(
        refused("30 24 * * *"),
        "line: `24` is not understood as the hour field; use 0 to 23, lists (8,20), ranges (8-18), steps (*/4) or *"
    );
    for (line, field) in [
        ("60 2 * * *", "minute"),
        ("5/10 2 * * *", "minute"),
        ("30, 2 * * *", "minute"),
        ("30 2 0 * *", "day of month"),
        ("30 2 32 * *", "day of month"),
        ("30 2 1L * *", "day of month"),
        ("30 2 W * *", "day of month"),
        ("30 2 MON * *", "day of month"),
        ("30 2 * 13 *", "month"),
        ("30 2 * MON *", "month"),
        // croner would read November, and day 13.
        ("30 2 * 1JAN *", "month"),
        ("30 2 * JAN1 *", "month"),
        ("30 2 * * FRIDAY", "day of week"),
        ("30 2 * * 8", "day of week"),
        ("30 2 * * 5-1", "day of week"),
        ("30 2 * * 9-1", "day of week"),
        ("30 2 * * 1MON", "day of week"),
        // Without a number it would mean no day at all.
        ("30 2 * * L", "day of week"),
        ("30 2 * * +", "day of week"),
        ("30 2 * * 1,,2", "day of week"),
    ] {
        let error = refused(line);
        assert!(
            error.contains(&format!("as the {field} field")),
            "{line}: {error}"
        );
    }
    for line in [
        "30 2 * * mon-fri",
        "30 2 * JAN,jul SUN",
        "30 2 LW * ?",
        "30 2 1,15W * *",
        "30 2 * * FRIL",
        "30 2 * * 5L,1#2",
        "30 2 * * FRI#2",
        "30 2 * * 6-7",
        "*/5 * * * *",
        "30 2-22/4 * * *",
    ] {
        assert_eq!(cron(line, "UTC").validate(), Ok(()), "{line}");
    }
}

#[test]
fn ranges_that_run_backwards_are_refused_with_what_to_write() {
    assert_eq!(
        refused("0 22-4 * * *"),
        "line: `22-4` runs backwards as the hour field; write 22-23,0-4"
    );
    for (line, instead) in [
        ("50-10/10 2 * * *", "50,0-10/10"),
        ("0 23-0 * * *", "23,0"),
        ("0 22-4/2 * * *", "22,0-4/2"),
        ("0 21-4/2 * * *", "21-23/2,1-4/2"),
        ("0 22-1/5 * * *", "22"),
        ("0 8,22-4,12 * * *", "8,22-23,0-4,12"),
        ("0 2 28-3 * *", "28-31,1-3"),
        ("0 2 * 11-2 *", "11-12,1-2"),
        ("0 2 * nov-FEB *", "NOV-DEC,JAN-FEB"),
        ("0 2 * * 6-1", "6,0-1"),
        ("0 2 * * SAT-MON", "SAT,SUN-MON"),
        ("0 2 * * 7-2", "0-2"),
        ("0 2 13 * +fri-mon", "+FRI-SAT,SUN-MON"),
    ] {
        let error = refused(line);
        assert!(error.ends_with(&format!("; write {instead}")), "{line}: {error}");
        let backwards = line.split(' ').find(|field| field.contains('-')).unwrap();
        assert_eq!(
            cron(&line.replace(backwards, instead), "UTC").validate(),
            Ok(()),
            "{line}"
        );
    }
}

#[test]
fn steps_larger_than_their_field_are_refused() {
    assert_eq!(
        refused("*/70 * * * *"),
        "line: `*/70` steps out of the minute field, which goes from 0 to 59; use a step of 1 to 59, or write 0 for \
         that value alone"
    );
    for (line, range) in [
        ("*/60 2 * * *", "the minute field, which goes from 0 to 59"),
        ("0 */25 * * *", "the hour field, which goes from 0 to 23"),
        ("0 8,0-20/24 * * *", "the hour field, which goes from 0 to 23"),
        ("0 2 */40 * *", "the day of month field, which goes from 1 to 31"),
        ("0 2 1 */13 *", "the month field, which goes from 1 to 12"),
        ("0 2 * * */8", "the day of week field, which goes from 0 to 7"),
    ] {
        let error = refused(line);
        assert!(error.contains(range), "{line}: {error}");
        // What an earlier version took and stored goes on.
        assert!(
            cron(line, "UTC")
                .next_after(Timestamp::UNIX_EPOCH)
                .unwrap()
                .is_some()
        );
    }
    for line in [
        "*/59 2 * * *",
        "0 */23 * * *",
        "0 2 */31 * *",
        "0 2 1 */12 *",
        "0 2 * * */7",
    ] {
        assert_eq!(cron(line, "UTC").validate(), Ok(()), "{line}");
    }
}

#[test]
fn a_line_that_never_fires_is_refused() {
    assert_eq!(
        refused("0 3 30 2 *"),
        "line: `0 3 30 2 *` never fires, because no such date exists; choose a day that its months have"
    );
    assert!(refused("0 3 31 4,6,9,11 *").contains("never fires"));
    assert!(refused("0 3 30W 2 *").contains("never fires"));
    assert!(refused("0 3 8 * +1#1").contains("never fires"));
    // In leap years only, and on a Monday only every 28 years: rare, but it does.
    assert_eq!(cron("0 3 29 2 *", "UTC").validate(), Ok(()));
    assert_eq!(cron("0 3 29 2 +MON", "UTC").validate(), Ok(()));
    assert_eq!(cron("0 3 * * 2#5", "UTC").validate(), Ok(()));
}

#[test]
fn a_line_that_fires_twice_in_less_than_five_minutes_is_refused() {
    assert_eq!(
        refused("* * * * *"),
        "line: fires at 00:00 and again at 00:01; leave at least 5 minutes between two runs"
    );
    assert!(refused("0,4 2 * * *").contains("02:00 and again at 02:04"));
    // From one hour to the next, and from one day to the next.
    assert!(refused("*/7 * * * *").contains("00:56 and again at 01:00"));
    assert!(refused("1,57 0,23 * * *").contains("23:57 and again at 00:01"));
    assert!(refused("1,57 0,23 * * 1-2").contains("23:57 and again at 00:01"));
    assert!(refused("1,57 0,23 1,31 * *").contains("23:57 and again at 00:01"));
    // There is no next day.
    for line in [
        "1,57 0,23 * * 1",
        "1,57 0,23 1 * *",
        "0,5 2 * * *",
        "57 2,4 * * *",
        "*/5 * * * *",
    ] {
        assert_eq!(cron(line, "UTC").validate(), Ok(()), "{line}");
    }
}

#[test]
fn schedules_in_words() {
    let words = |recurrence| schedule(recurrence, "Europe/Berlin").describe();
    let week = |days: &[i8]| Recurrence::Week {
        weekdays: Weekdays::new(days.iter().copied()).unwrap(),
        hour: 2,
        minute: 30,
    };
    let month = |day| Recurrence::Month {
        day: MonthDay::new(day).unwrap(),
        hour: 2,
        minute: 5,
    };
    assert_eq!(words(Recurrence::Manual), "Only when somebody asks");
    assert_eq!(
        words(Recurrence::Hour { minute: 0 }),
        "Every hour, on the hour (Europe/Berlin)"
    );
    assert_eq!(
        words(Recurrence::Hour { minute: 5 }),
        "Every hour, 5 min past (Europe/Berlin)"
    );
    assert_eq!(
        words(Recurrence::Day { hour: 23, minute: 5 }),
        "Every day at 23:05 (Europe/Berlin)"
    );
    assert_eq!(
        words(week(&[4, 1])),
        "Every week on Mon, Thu at 02:30 (Europe/Berlin)"
    );
    assert_eq!(
        words(week(&[1, 2, 3, 4, 5, 6, 7])),
        "Every week on Mon, Tue, Wed, Thu, Fri, Sat, Sun at 02:30 (Europe/Berlin)"
    );
    assert_eq!(words(month(15)), "Every month on day 15 at 02:05 (Europe/Berlin)");
    assert_eq!(
        words(month(29)),
        "Every month on day 29 (or the last) at 02:05 (Europe/Berlin)"
    );
    assert_eq!(
        words(month(31)),
        "Every month on the last day at 02:05 (Europe/Berlin)"
    );
    let line = " 30  2 * * 1-5".to_owned();
    assert_eq!(
        words(Recurrence::Cron { line }),
        "At 02:30 on Mon to Fri (Europe/Berlin), cron 30 2 * * 1-5"
    );
    let line = "30 2 * *".to_owned();
    assert_eq!(words(Recurrence::Cron { line }), "Cron 30 2 * * (Europe/Berlin)");
}
