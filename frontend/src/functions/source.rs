//! Sources: paths of an agent and when they are backed up.

#![allow(clippy::too_many_arguments, reason = "one for each field of the form")]

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::schedule::{Recurrence, Schedule};
use shared::{
    api::view::RunView,
    ids::{AgentId, SourceId, TenantId},
};

use crate::error::ConsoleError;

/// Makes a source and goes back to the tenant's page.
#[server(prefix = "/console/fn", endpoint = "create_source")]
pub async fn create_source(
    tenant: TenantId,
    agent_id: AgentId,
    name: String,
    paths: String,
    #[server(default)] excludes: String,
    every: String,
    #[server(default)] time: String,
    #[server(default)] weekday: String,
    #[server(default)] minute: String,
    time_zone: String,
) -> Result<(), ConsoleError> {
    let typed = [
        ("agent_id", agent_id.to_string()),
        ("name", name.clone()),
        ("paths", paths.clone()),
        ("excludes", excludes.clone()),
        ("every", every.clone()),
        ("time", time.clone()),
        ("weekday", weekday.clone()),
        ("minute", minute.clone()),
        ("time_zone", time_zone.clone()),
    ];
    let typed = typed.each_ref().map(|(field, value)| (*field, value.as_str()));
    let result = match schedule(&every, &time, &weekday, &minute, &time_zone) {
        Ok(schedule) => {
            let request = shared::api::request::NewSource {
                agent_id,
                name: name.clone(),
                paths: lines(&paths),
                excludes: lines(&excludes),
                schedule,
            };
            super::backend()?.create_source(tenant, request).await
        }
        Err(error) => Err(error),
    };
    super::form::back_to_form::<CreateSource, _>(result, &format!("/tenants/{tenant}/sources/new"), &typed)?;
    leptos_axum::redirect(&format!("/tenants/{tenant}"));
    Ok(())
}

/// *Back up now*. A plain form post goes on to the run's page.
#[server(prefix = "/console/fn", endpoint = "run_now")]
pub async fn run_now(tenant: TenantId, source: SourceId) -> Result<RunView, ConsoleError> {
    let result = super::backend()?.run_now(tenant, source).await;
    let run = super::form::back_to_form::<RunNow, _>(result, &format!("/tenants/{tenant}"), &[])?;
    super::form::plain_post_goes_to(&format!("/tenants/{tenant}/runs/{}", run.id));
    Ok(run)
}

/// The lines that hold something.
#[cfg(feature = "ssr")]
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The schedule that the form's fields say. Ranges and the zone are the server's to check.
#[cfg(feature = "ssr")]
fn schedule(
    every: &str,
    time: &str,
    weekday: &str,
    minute: &str,
    time_zone: &str,
) -> Result<Schedule, ConsoleError> {
    let refused = |text: &str| ConsoleError::Refused(text.to_owned());
    // Some browsers send seconds along.
    let time = || {
        let mut parts = time.trim().splitn(3, ':');
        let mut part = || parts.next().and_then(|part| part.parse::<i8>().ok());
        part()
            .zip(part())
            .ok_or_else(|| refused("Time: write hours and minutes, such as 02:30."))
    };
    let recurrence = match every {
        "manual" => Recurrence::Manual,
        "hour" => Recurrence::Hour {
            minute: minute
                .trim()
                .parse()
                .map_err(|_| refused("Minute: write a whole number from 0 to 59."))?,
        },
        "day" => {
            let (hour, minute) = time()?;
            Recurrence::Day { hour, minute }
        }
        "week" => {
            let (hour, minute) = time()?;
            let weekday = weekday
                .parse()
                .map_err(|_| refused("Day of the week: choose one."))?;
            Recurrence::Week {
                weekday,
                hour,
                minute,
            }
        }
        _ => return Err(refused("Schedule: choose how often to back up.")),
    };
    Ok(Schedule {
        recurrence,
        time_zone: time_zone.trim().to_owned(),
    })
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn the_form_s_fields_become_a_schedule() {
        let recurrence = |every, time, weekday, minute| {
            schedule(every, time, weekday, minute, " Europe/Berlin ").map(|schedule| schedule.recurrence)
        };
        assert_eq!(recurrence("manual", "", "", ""), Ok(Recurrence::Manual));
        assert_eq!(
            recurrence("hour", "", "", "7"),
            Ok(Recurrence::Hour { minute: 7 })
        );
        assert_eq!(
            recurrence("week", "02:30:00", "7", ""),
            Ok(Recurrence::Week {
                weekday: 7,
                hour: 2,
                minute: 30
            })
        );
        assert!(recurrence("day", "half two", "", "").is_err());
        assert!(recurrence("yearly", "02:30", "", "").is_err());
    }

    #[test]
    fn blank_lines_are_no_paths() {
        assert_eq!(lines("/srv\r\n\r\n  /home \n"), ["/srv", "/home"]);
    }
}
