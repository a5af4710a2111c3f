//! Names of time zones: one check for policies and schedules, the same in the server and in the browser.

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The zone of the IANA time zone database with this name, upper or lower case, older names (`US/Pacific`) included.
///
/// Whether there is such a name is asked of the database in the binary, so that server and browser agree; the rules are
/// the system's where it has the zone, since systems are updated more often. `None` for offsets, for what only one
/// system knows (`localtime`, `posixrules`, `right/Europe/Berlin`), and for the names that stand for no place and no
/// offset that anybody chose (`Etc/Unknown`, `Factory`): a backup would run hours from where it was expected.
#[must_use]
pub fn iana(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("Factory") {
        return None;
    }
    let bundled = TimeZoneDatabase::bundled().get(name).ok();
    let bundled = bundled.filter(|zone| !zone.is_unknown())?;
    Some(TimeZone::get(name).unwrap_or(bundled))
}

/// The zone of a policy or schedule that is stored: as [`iana`], and whatever else this system knows. A name that was
/// accepted by an earlier version must not keep a source from being backed up, nor its locks from being extended.
#[must_use]
pub fn stored(name: &str) -> Option<TimeZone> {
    iana(name).or_else(|| TimeZone::get(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_iana_database() {
        for name in [
            "UTC",
            "Etc/UTC",
            "Europe/Berlin",
            "europe/berlin",
            "America/Argentina/Ushuaia",
            "US/Pacific",
            "EST5EDT",
            "Etc/GMT-14",
        ] {
            assert!(iana(name).is_some(), "{name}");
        }
        for name in [
            "",
            "Etc/Unknown",
            "etc/unknown",
            "Factory",
            "factory",
            "localtime",
            "posixrules",
            "right/Europe/Berlin",
            "posix/Europe/Berlin",
            "+02:00",
            "CET-1CEST",
            "../Europe/Berlin",
            "Mars/Olympus",
        ] {
            assert!(iana(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_name_of_the_database_in_the_binary_has_rules() {
        let names: Vec<_> = TimeZoneDatabase::bundled()
            .available()
            .map(|name| name.to_string())
            .collect();
        assert!(names.len() > 500, "{}", names.len());
        for name in names.iter().filter(|name| *name != "Factory") {
            assert!(iana(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_stored_still_reads() {
        assert!(stored("Etc/Unknown").is_some());
        assert!(stored("Europe/Berlin").is_some());
        assert!(stored("Mars/Olympus").is_none());
    }
}
