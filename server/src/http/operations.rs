//! Which use case does an operation, for the automation API and for the console alike. An operation that changes something can not
//! be bound to an actor that only looks: its access in `shared::api::operations` and the use case's actor are one type.

use std::{any::TypeId, future::Future};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, FromRef, FromRequest, FromRequestParts, Path, Query, Request, State,
        rejection::JsonRejection,
    },
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use serde::{Deserialize, de::IntoDeserializer};
use shared::api::{
    operation::{Ids, Method, Operation},
    operations::{
        AuthoriseRestore, CancelRun, CreateBackupSet, CreateEnrollmentToken, CreateSource,
        CreateStorageAccount, CreateTenant, EndRestore, InspectBucket, JudgeSnapshot, ListNotices,
        ListRestores, ListRuns, ListSnapshots, ListSources, ListTenants, ReadAgents, ReadBackupSet, ReadMe,
        ReadOverview, ReadRestore, ReadRun, ReadSnapshot, ReadStorage, ReadTenant, RunNow, SettleNotice,
    },
};

use crate::{
    app::App,
    error::ApiError,
    scope::{Grant, Person},
    use_cases::people::{
        backup_sets, enrollment_tokens, inspect, lists, notices, pages, restores, runs, snapshots, sources,
        storage_accounts, tenants,
    },
};

/// Who may ask for an operation.
type ActorOf<O> = <<O as Operation>::Access as Grant>::Actor;
/// What its path names below the tenant.
type IdOf<O> = <<O as Operation>::Ids as Ids>::Id;

/// An operation that somebody who is signed in may ask for, and what does it.
pub trait Perform: Operation<Access: Grant> {
    /// Does it.
    ///
    /// # Errors
    /// As the use case.
    fn perform(
        app: &App,
        actor: &ActorOf<Self>,
        id: IdOf<Self>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, ApiError>> + Send;
}

/// Authorises a person for an operation and does it. Nothing else calls [`Perform::perform`].
///
/// # Errors
/// As the authorisation and the use case.
pub async fn perform<O: Perform>(
    app: &App,
    person: Person,
    ids: O::Ids,
    input: O::Input,
) -> Result<O::Output, ApiError> {
    let asked = Asked::<O>::authorise(app, person, ids).await?;
    O::perform(app, &asked.actor, asked.id, input).await
}

macro_rules! perform {
    ($($operation:ident($app:ident, $actor:ident, $id:pat, $input:pat) => $use_case:expr;)*) => {
        $(impl Perform for $operation {
            async fn perform(
                $app: &App,
                $actor: &ActorOf<Self>,
                $id: IdOf<Self>,
                $input: Self::Input,
            ) -> Result<Self::Output, ApiError> {
                $use_case.await
            }
        })*

        /// The routes of all of them.
        pub fn routes() -> Router<App> {
            Router::new()$(.route($operation::PATH, route::<$operation>()))*
        }
    };
}

perform! {
    ReadMe(_app, person, (), ()) => async { Ok(person.me().clone()) };
    ListNotices(app, person, (), ()) => notices::open(app, person);
    SettleNotice(app, operator, notice, ()) => notices::settle(app, operator, notice);
    ListTenants(app, person, (), ()) => tenants::list(app, person);
    CreateTenant(app, operator, (), request) => tenants::create(app, operator, request);
    ReadTenant(app, viewer, (), ()) => tenants::summary(app, viewer);
    ReadOverview(app, viewer, (), ()) => pages::overview::page(app, viewer);
    ReadAgents(app, viewer, (), ()) => pages::agents::page(app, viewer);
    ReadStorage(app, viewer, (), ()) => pages::storage::page(app, viewer);
    ReadBackupSet(app, viewer, set, ()) => pages::backup_set::page(app, viewer, set);
    ListSources(app, viewer, (), ()) => sources::names(app, viewer);
    CreateStorageAccount(app, manager, (), request) => storage_accounts::create(app, manager, request);
    CreateBackupSet(app, manager, (), request) => backup_sets::create(app, manager, request);
    InspectBucket(app, manager, set, ()) => inspect::bucket(app, manager, set);
    CreateEnrollmentToken(app, manager, (), request) => enrollment_tokens::create(app, manager, request);
    CreateSource(app, manager, (), request) => sources::create(app, manager, request);
    RunNow(app, manager, source, ()) => runs::run_now(app, manager, source);
    ListRuns(app, viewer, (), query) => lists::runs(app, viewer, &query);
    ReadRun(app, viewer, run, ()) => runs::view(app, viewer, run);
    CancelRun(app, manager, run, ()) => runs::cancel(app, manager, run);
    ListSnapshots(app, viewer, (), query) => lists::snapshots(app, viewer, &query);
    ReadSnapshot(app, viewer, snapshot, ()) => snapshots::page(app, viewer, snapshot);
    JudgeSnapshot(app, manager, snapshot, request) => snapshots::judge(app, manager, snapshot, request.judgement);
    AuthoriseRestore(app, manager, snapshot, ()) => restores::authorise(app, manager, snapshot);
    EndRestore(app, manager, restore, ()) => restores::end(app, manager, restore);
    ListRestores(app, viewer, (), query) => lists::restores(app, viewer, &query);
    ReadRestore(app, viewer, restore, ()) => restores::view(app, viewer, restore);
}

/// The route of an operation.
fn route<O: Perform>() -> MethodRouter<App> {
    let route = match O::METHOD {
        Method::Get => get(answer::<O>),
        Method::Post => post(answer::<O>),
        Method::Delete => delete(answer::<O>),
    };
    route.layer(DefaultBodyLimit::max(O::BODY.max()))
}

async fn answer<O: Perform>(
    State(app): State<App>,
    asked: Asked<O>,
    Input(input): Input<O>,
) -> Result<Response, ApiError> {
    let output = O::perform(&app, &asked.actor, asked.id, input).await?;
    Ok(if is_unit::<O::Output>() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Json(output).into_response()
    })
}

fn is_unit<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<()>()
}

/// An operation that was asked for by somebody who may ask for it. As an extractor it resolves the session, reads the ids in the
/// path and authorises, before the body is read.
struct Asked<O: Perform> {
    actor: ActorOf<O>,
    id: IdOf<O>,
}

impl<O: Perform> Asked<O> {
    async fn authorise(app: &App, person: Person, ids: O::Ids) -> Result<Self, ApiError> {
        let (place, id) = ids.split();
        let actor = O::Access::grant(&app.db, person, place).await?;
        Ok(Self { actor, id })
    }
}

impl<O, S> FromRequestParts<S> for Asked<O>
where
    O: Perform,
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let refused = IntoResponse::into_response;
        let person = Person::from_request_parts(parts, state).await.map_err(refused)?;
        let ids = Path::<O::Ids>::from_request_parts(parts, state).await;
        let Path(ids) = ids.map_err(IntoResponse::into_response)?;
        Self::authorise(&App::from_ref(state), person, ids)
            .await
            .map_err(refused)
    }
}

/// What an operation takes: the query of a GET, the body of what changes something, or nothing.
struct Input<O: Operation>(O::Input);

impl<O: Operation, S: Send + Sync> FromRequest<S> for Input<O> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if is_unit::<O::Input>() {
            let nothing = O::Input::deserialize(().into_deserializer());
            return nothing.map(Self).map_err(|error: serde::de::value::Error| {
                ApiError::Internal(format!("an operation without input: {error}"))
            });
        }
        match O::METHOD {
            Method::Get => {
                let query = Query::<O::Input>::from_request(request, state).await;
                query
                    .map(|Query(query)| Self(query))
                    .map_err(|error| unreadable("query", &error.body_text()))
            }
            Method::Post | Method::Delete => {
                let Body(body) = Body::from_request(request, state).await?;
                Ok(Self(body))
            }
        }
    }
}

/// JSON, refused with an error that names the field.
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Json::from_request(request, state).await;
        body.map(|Json(body)| Self(body)).map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::invalid(
                    "body",
                    "body: this is more than the call takes; send less at once.",
                );
            }
            unreadable("body", &error.body_text())
        })
    }
}

/// The text may repeat what was sent, so it is cut off.
fn unreadable(part: &'static str, text: &str) -> ApiError {
    ApiError::invalid(part, text.chars().take(300).collect::<String>())
}
