//! Sources: paths of an agent and when they are backed up.

#![allow(clippy::too_many_arguments, reason = "one for each field of the form")]

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::{RunView, SourceName},
    ids::{AgentId, SourceId, TenantId},
};

use crate::error::ConsoleError;
#[cfg(feature = "ssr")]
use crate::schedule_form::ScheduleForm;
#[cfg(feature = "ssr")]
use shared::input;

/// Makes a source and goes back to the tenant's page. With `look`, makes none: the form comes back with what was understood
/// of its schedule.
#[server(prefix = "/console/fn", endpoint = "create_source")]
pub async fn create_source(
    tenant: TenantId,
    agent_id: AgentId,
    name: String,
    paths: String,
    #[server(default)] excludes: String,
    #[server(default)] one_file_system: bool,
    #[server(default)] include_network_mounts: bool,
    #[server(default)] unstable_inodes: bool,
    every: String,
    #[server(default)] time: String,
    #[server(default)] weekdays: Vec<String>,
    #[server(default)] day: String,
    #[server(default)] minute: String,
    #[server(default)] line: String,
    time_zone: String,
    #[server(default)] look: bool,
) -> Result<(), ConsoleError> {
    let typed = [
        ("agent_id", agent_id.to_string()),
        ("name", name.clone()),
        ("paths", paths.clone()),
        ("excludes", excludes.clone()),
        ("one_file_system", one_file_system.to_string()),
        ("include_network_mounts", include_network_mounts.to_string()),
        ("unstable_inodes", unstable_inodes.to_string()),
        ("every", every.clone()),
        ("time", time.clone()),
        ("weekdays", weekdays.join(",")),
        ("day", day.clone()),
        ("minute", minute.clone()),
        ("line", line.clone()),
        ("time_zone", time_zone.clone()),
    ];
    let typed = typed.each_ref().map(|(field, value)| (*field, value.as_str()));
    let page = format!("/tenants/{tenant}/sources/new");
    if look {
        super::form::show_again::<CreateSource>(&page, &typed);
        return Ok(());
    }
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
                paths: input::lines(&paths),
                excludes: input::lines(&excludes),
                limits: shared::api::request::SourceLimits {
                    one_file_system,
                    include_network_mounts,
                    unstable_inodes,
                },
                schedule,
            };
            super::call::<operations::CreateSource>(tenant, request).await
        }
        Err(error) => {
            let field = error.split_once(": ").map_or("", |(field, _)| field).to_owned();
            Err(ConsoleError::field(&field, error))
        }
    };
    super::form::back_to_form::<CreateSource, _>(result, &page, &typed)?;
    leptos_axum::redirect(&format!("/tenants/{tenant}"));
    Ok(())
}

/// The names of a tenant's sources.
#[server(prefix = "/console/fn", endpoint = "load_source_names")]
pub async fn load_source_names(tenant: TenantId) -> Result<Vec<SourceName>, ConsoleError> {
    super::status::answer(super::call::<operations::ListSources>(tenant, ()).await)
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
