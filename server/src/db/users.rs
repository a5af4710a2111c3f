//! People who sign in.

use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use shared::ids::UserId;

use super::{DbError, InstanceTx, entity::user, types::At};

/// A user.
#[derive(Clone)]
pub struct User {
    /// The user.
    pub id: UserId,
    /// E-mail address, lower case.
    pub email: String,
    /// Argon2id.
    pub password_hash: String,
    /// Whether they run this instance.
    pub operator: bool,
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: row.email,
            password_hash: row.password_hash,
            operator: row.operator,
        }
    }
}

/// How many users there are.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn count(tx: &InstanceTx) -> Result<u64, DbError> {
    Ok(user::Entity::find().count(&tx.tx).await?)
}

/// A user to be.
#[derive(Clone)]
pub struct NewUser {
    /// The user.
    pub id: UserId,
    /// E-mail address, lower case.
    pub email: String,
    /// Argon2id.
    pub password_hash: String,
}

/// Adds the instance's first user, who runs it. The server's role can add no other: the database refuses when there is one.
pub async fn add_first_operator(tx: &InstanceTx, user: &NewUser, now: Timestamp) -> Result<(), DbError> {
    let sql = "SELECT app_first_operator($1, $2, $3, $4)";
    let values = [
        user.id.as_uuid().into(),
        user.email.as_str().into(),
        user.password_hash.as_str().into(),
        At::try_from(now)?.into(),
    ];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// The user of an e-mail address, given in lower case.
pub async fn by_email(tx: &InstanceTx, email: &str) -> Result<Option<User>, DbError> {
    Ok(user::Entity::find()
        .filter(user::Column::Email.eq(email))
        .one(&tx.tx)
        .await?
        .map(Into::into))
}

/// One user.
pub async fn find(tx: &InstanceTx, id: UserId) -> Result<Option<User>, DbError> {
    Ok(user::Entity::find_by_id(id.as_uuid())
        .one(&tx.tx)
        .await?
        .map(Into::into))
}
