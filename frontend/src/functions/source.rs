//! Sources: paths of an agent and when they are backed up.

#![allow(clippy::too_many_arguments, reason = "one for each field of the form")]

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::RunView,
    ids::{AgentId, SourceId, TenantId},
};

use crate::error::ConsoleError;
#[cfg(feature = "ssr")]
use crate::schedule_form::ScheduleForm;

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
    #[server(default)] weekdays: Vec<String>,
    #[server(default)] day: String,
    #[server(default)] minute: String,
    #[server(default)] line: String,
    time_zone: String,
) -> Result<(), ConsoleError> {
    let typed = [
        ("agent_id", agent_id.to_string()),
        ("name", name.clone()),
        ("paths", paths.clone()),
        ("excludes", excludes.clone()),
        ("every", every.clone()),
        ("time", time.clone()),
        ("weekdays", weekdays.join(",")),
        ("day", day.clone()),
        ("minute", minute.clone()),
        ("line", line.clone()),
        ("time_zone", time_zone.clone()),
    ];
    let typed = typed.each_ref().map(|(field, value)| (*field, value.as_str()));
    let schedule = ScheduleForm {
        every,
        time,
        weekdays,
        day,
        minute,
        line,
        time_zone,
    };
    let result = match schedule.read() {
        Ok(schedule) => {
            let request = shared::api::request::NewSource {
                agent_id,
                name: name.clone(),
                paths: lines(&paths),
                excludes: lines(&excludes),
                schedule,
            };
            super::call::<operations::CreateSource>(tenant, request).await
        }
        Err(error) => {
            let field = error.split_once(": ").map_or("", |(field, _)| field).to_owned();
            Err(ConsoleError::field(&field, error))
        }
    };
    super::form::back_to_form::<CreateSource, _>(result, &format!("/tenants/{tenant}/sources/new"), &typed)?;
    leptos_axum::redirect(&format!("/tenants/{tenant}"));
    Ok(())
}

/// *Back up now*. A plain form post goes on to the run's page.
#[server(prefix = "/console/fn", endpoint = "run_now")]
pub async fn run_now(tenant: TenantId, source: SourceId) -> Result<RunView, ConsoleError> {
    let result = super::call::<operations::RunNow>((tenant, source), ()).await;
    let run = super::form::back_to_form::<RunNow, _>(
        result,
        &format!("/tenants/{tenant}"),
        &[("source", &source.to_string())],
    )?;
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

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_no_paths() {
        assert_eq!(lines("/srv\r\n\r\n  /home \n"), ["/srv", "/home"]);
    }
}
