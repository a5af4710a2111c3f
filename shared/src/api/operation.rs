//! What an operation of the automation API is. The table of all of them is [`super::operations`]; the REST route, the console's
//! backend and the cases of authorisation follow from a row of it.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ids::{NoticeId, TenantId},
    limits::Limit,
};

/// Where the operations are: every [`Operation::PATH`] is below it.
pub const BASE_PATH: &str = "/api/v1";

/// How an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Changes nothing; its input, if any, is the query.
    Get,
    /// Changes something; its input, if any, is a JSON body.
    Post,
    /// Ends something; takes no input.
    Delete,
}

/// One operation: a type without values that names what belongs together.
pub trait Operation: 'static {
    /// How it is asked for.
    const METHOD: Method;
    /// Its path below [`BASE_PATH`], with the names of ids in braces.
    const PATH: &'static str;
    /// How long its body may be.
    const BODY: Limit = Limit::SmallBody;
    /// Who may ask for it. A path with a tenant needs an access that is authorised in that tenant: anything else does not compile.
    type Access: Access<Place = <Self::Ids as Ids>::Place>;
    /// The ids in its path.
    type Ids: Ids;
    /// What it takes besides: `()` for nothing.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// What it answers: `()` for nothing, which is status 204.
    type Output: Serialize + DeserializeOwned + Send + 'static;
}

/// What of an operation is known without its types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// How it is asked for.
    pub method: Method,
    /// Its path below [`BASE_PATH`].
    pub path: &'static str,
    /// Who may ask for it.
    pub level: Level,
}

impl Description {
    /// Of an operation.
    #[must_use]
    pub const fn of<O: Operation>(name: &'static str) -> Self {
        Self {
            name,
            method: O::METHOD,
            path: O::PATH,
            level: <O::Access as Access>::LEVEL,
        }
    }
}

/// Who may ask for an operation, as a type: the server maps each to an actor that only its authorisation makes.
pub trait Access: 'static {
    /// The same as a value.
    const LEVEL: Level;
    /// Where it is authorised: a tenant, or `()` for the whole instance.
    type Place: Send + 'static;
}

/// Who may ask for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Anybody, also without a session.
    Anyone,
    /// Whoever is signed in.
    SignedIn,
    /// Members of the tenant, and operators.
    View,
    /// The same without auditors.
    Manage,
    /// Operators of the instance.
    Operate,
}

macro_rules! accesses {
    ($($name:ident in $place:ty;)*) => {$(
        #[doc = concat!("See [`Level::", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl Access for $name {
            const LEVEL: Level = Level::$name;
            type Place = $place;
        }
    )*};
}

accesses! {
    Anyone in ();
    SignedIn in ();
    View in TenantId;
    Manage in TenantId;
    Operate in ();
}

/// The ids in a path: where it is authorised, and what is named there.
pub trait Ids: DeserializeOwned + Send + 'static {
    /// A tenant, or `()`.
    type Place: Send + 'static;
    /// What is named there, or `()`.
    type Id: Send + 'static;

    /// Takes them apart.
    fn split(self) -> (Self::Place, Self::Id);
}

impl Ids for () {
    type Place = ();
    type Id = ();

    fn split(self) -> ((), ()) {
        ((), ())
    }
}

impl Ids for NoticeId {
    type Place = ();
    type Id = Self;

    fn split(self) -> ((), Self) {
        ((), self)
    }
}

impl Ids for TenantId {
    type Place = Self;
    type Id = ();

    fn split(self) -> (Self, ()) {
        (self, ())
    }
}

impl<I: DeserializeOwned + Send + 'static> Ids for (TenantId, I) {
    type Place = TenantId;
    type Id = I;

    fn split(self) -> (TenantId, I) {
        self
    }
}
