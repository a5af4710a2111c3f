//! Signed-in people by what they may do. Only an authorisation makes one of these types, and a use case names the one that it
//! needs: what changes something takes a [`Manager`], and can not be called with a [`Viewer`].

use std::{future::Future, ops::Deref};

use shared::{
    api::{
        operation::{Access, Manage, Operate, SignedIn, View},
        view::Me,
    },
    ids::TenantId,
};

use super::tenant::TenantScope;
use crate::{
    db::{self, Db, tenants::Role},
    error::ApiError,
};

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Person(Me);

impl Person {
    /// The user that a session names.
    #[must_use]
    pub fn of_session(user: Me) -> Self {
        Self(user)
    }

    /// What they are shown of themselves.
    #[must_use]
    pub fn me(&self) -> &Me {
        &self.0
    }
}

impl Deref for Person {
    type Target = Me;

    fn deref(&self) -> &Me {
        &self.0
    }
}

/// A signed-in person, and the tenant that they were authorised for.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who.
    pub user: Person,
    /// Where.
    pub scope: TenantScope,
}

/// Whoever may look at a tenant: its members, and operators.
#[derive(Debug, Clone)]
pub struct Viewer(Actor);

impl Deref for Viewer {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

/// Whoever may also change what a tenant has: not its auditors. May do all that a [`Viewer`] may, and not the other way round:
///
/// ```
/// # use holdfast_server::scope::{Manager, Viewer};
/// fn look(_: &Viewer) {}
/// fn manage(actor: &Manager) {
///     look(actor);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use holdfast_server::scope::{Manager, Viewer};
/// fn change(_: &Manager) {}
/// fn view(actor: &Viewer) {
///     change(actor);
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Manager(Viewer);

impl Deref for Manager {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        &self.0
    }
}

/// Whoever operates the instance.
#[derive(Debug, Clone)]
pub struct Operator(Person);

impl Deref for Operator {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.0
    }
}

impl Viewer {
    // Promise: P10
    /// Authorises a person to look at a tenant. One that they may not see does not exist for them.
    ///
    /// # Errors
    /// `NotFound` when there is no such tenant here for this person.
    pub async fn authorise(db: &Db, person: Person, tenant: TenantId) -> Result<Self, ApiError> {
        let role = role_of(db, &person, tenant).await?;
        role.ok_or(ApiError::NotFound("tenant"))?;
        Ok(Self(Actor {
            user: person,
            scope: TenantScope::new(tenant),
        }))
    }
}

impl Manager {
    // Promise: P10
    /// Authorises a person to change what a tenant has.
    ///
    /// # Errors
    /// `NotFound` when there is no such tenant here for this person, `Forbidden` when their role only looks.
    pub async fn authorise(db: &Db, person: Person, tenant: TenantId) -> Result<Self, ApiError> {
        match role_of(db, &person, tenant).await? {
            None => Err(ApiError::NotFound("tenant")),
            Some(Role::Auditor) => Err(ApiError::Forbidden),
            Some(Role::Owner | Role::Technician) => Ok(Self(Viewer(Actor {
                user: person,
                scope: TenantScope::new(tenant),
            }))),
        }
    }
}

impl Operator {
    /// Authorises a person to do what is the operators' alone.
    ///
    /// # Errors
    /// `Forbidden` for anybody else.
    pub fn authorise(person: Person) -> Result<Self, ApiError> {
        if person.operator {
            Ok(Self(person))
        } else {
            Err(ApiError::Forbidden)
        }
    }
}

/// The role of a person in a tenant: operators own every one there is, others have what their membership says.
async fn role_of(db: &Db, person: &Person, tenant: TenantId) -> Result<Option<Role>, ApiError> {
    if person.operator {
        let exists = db::tenants::exists(&db.instance().await?, tenant).await?;
        return Ok(exists.then_some(Role::Owner));
    }
    let tx = db.user(person.id).await?;
    Ok(db::tenants::role(&tx, tenant).await?)
}

/// How an access is granted, and who has it then.
pub trait Grant: Access {
    /// Who has it.
    type Actor: Send + Sync + 'static;

    /// Authorises a person in a place.
    ///
    /// # Errors
    /// As the actor's own authorisation.
    fn grant(
        db: &Db,
        person: Person,
        place: Self::Place,
    ) -> impl Future<Output = Result<Self::Actor, ApiError>> + Send;
}

impl Grant for SignedIn {
    type Actor = Person;

    async fn grant(_: &Db, person: Person, (): ()) -> Result<Person, ApiError> {
        Ok(person)
    }
}

impl Grant for View {
    type Actor = Viewer;

    async fn grant(db: &Db, person: Person, tenant: TenantId) -> Result<Viewer, ApiError> {
        Viewer::authorise(db, person, tenant).await
    }
}

impl Grant for Manage {
    type Actor = Manager;

    async fn grant(db: &Db, person: Person, tenant: TenantId) -> Result<Manager, ApiError> {
        Manager::authorise(db, person, tenant).await
    }
}

impl Grant for Operate {
    type Actor = Operator;

    async fn grant(_: &Db, person: Person, (): ()) -> Result<Operator, ApiError> {
        Operator::authorise(person)
    }
}
