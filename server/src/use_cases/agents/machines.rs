//! One machine, one agent: a copied state folder on a second machine is noticed, and both are held.

use data_encoding::BASE64URL_NOPAD;
use http::HeaderMap;
use jiff::SignedDuration;
use shared::{
    api::agent::MACHINE_HEADER,
    limits::Limit,
    machines::{Change, Machine},
};

use crate::{app::App, db, error::ApiError, scope::Caller};

/// How often at most a call of the same machine is written.
const NOTED_EVERY: SignedDuration = SignedDuration::from_secs(15);
/// No header that an agent sends is longer.
const MAX_HEADER_BYTES: usize = 2_048;

/// What a request says of its machine. What does not read counts as nothing: agents of other versions may say something else.
#[must_use]
pub fn named(headers: &HeaderMap) -> Option<Machine> {
    let value = headers.get(MACHINE_HEADER)?.as_bytes();
    let json = BASE64URL_NOPAD
        .decode(value.get(..value.len().min(MAX_HEADER_BYTES))?)
        .ok()?;
    let machine: Machine = serde_json::from_slice(&json).ok()?;
    let most = Limit::Name.max();
    let fits = |text: &String| text.len() <= most;
    let parts = [
        &machine.instance,
        &machine.boot,
        &machine.machine,
        &machine.hostname,
    ];
    let all_fit = parts.into_iter().all(fits);
    all_fit.then_some(machine)
}

/// Takes in which machine an agent calls from, and refuses while two use the same state folder.
///
/// # Errors
/// `Conflict` then, with both host names.
pub async fn must_be_one(app: &App, caller: &Caller, machine: Option<Machine>) -> Result<(), ApiError> {
    let Some(machine) = machine else {
        return Ok(());
    };
    let now = app.clock.now();
    let known = &caller.agent.machines;
    let is_recent = known.current.as_ref().is_some_and(|current| {
        current.machine == machine && now.duration_since(current.last).abs() < NOTED_EVERY
    });
    let mut machines = known.clone();
    if !is_recent {
        let tx = app.db.tenant(&caller.scope).await?;
        let Some(agent) = db::agents::lock(&tx, caller.agent.id).await? else {
            return Err(ApiError::SignInNeeded);
        };
        let (next, change) = agent.machines.called(machine, now);
        db::agents::set_machines(&tx, agent.id, &next).await?;
        tx.commit().await?;
        if change != Change::Same {
            tracing::info!(agent = %agent.id, ?change, "an agent calls from another machine, or under another name");
        }
        machines = next;
    }
    match machines.held() {
        None => Ok(()),
        Some(why) => Err(ApiError::conflict("two_machines", why)),
    }
}
