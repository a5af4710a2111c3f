//! Signed-in sessions: a tower-sessions store on our own table. The id in the cookie is a bearer: the table has its keyed hash
//! only, so that a copy of the database signs nobody in. Whose session it is and when it ends is proven by another keyed hash,
//! so that whoever can write to the table gives himself no other user and no longer session.

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::OnConflict};
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store,
};
use uuid::Uuid;

use super::{
    Db, DbError, InstanceTx,
    entity::session,
    types::{At, from_json, to_json},
};
use crate::{
    clock::Clock,
    secrets::{Bearer, BearerKey},
};

/// The key in a session's data that holds the user's UUID. The store copies it into a column of its own, so that a
/// user's sessions can be ended together.
pub const USER_KEY: &str = "user";

/// Keeps sessions in Postgres.
#[derive(Clone, Debug)]
pub struct PostgresSessions {
    db: Db,
    key: BearerKey,
    clock: Clock,
}

impl PostgresSessions {
    /// A store on this database. tower-sessions reckons when a session ends by the system's clock and takes no other,
    /// so the store asks that one too, whatever clock the server was given.
    #[must_use]
    pub fn new(db: Db, key: BearerKey) -> Self {
        Self {
            db,
            key,
            clock: Clock::system(),
        }
    }

    /// Deletes the sessions that have ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_ended(&self) -> Result<u64, DbError> {
        let now = At::try_from(self.clock.now())?;
        let ended = session::Entity::delete_many().filter(session::Column::ExpiresAt.lte(now));
        Ok(ended.exec(&self.db.pool).await?.rows_affected)
    }

    /// What the table has in the place of an id.
    fn stored(&self, id: Id) -> String {
        HEXLOWER.encode(&self.key.hash(Bearer::Session, &id.to_string()))
    }

    /// What a record's proof is the hash of.
    fn owner(record: &Record) -> String {
        let user = record.data.get(USER_KEY).map(ToString::to_string);
        let ends = record.expiry_date.unix_timestamp();
        format!("{} {ends} {}", record.id, user.unwrap_or_default())
    }

    fn row(&self, record: &Record) -> Result<session::Model, DbError> {
        let user = record.data.get(USER_KEY).and_then(|user| user.as_str());
        Ok(session::Model {
            id: self.stored(record.id),
            user_id: user.and_then(|user| Uuid::try_parse(user).ok()),
            data: to_json(&record.data)?,
            expires_at: expires(record)?,
            proof: self.key.hash(Bearer::SessionOwner, &Self::owner(record)).to_vec(),
        })
    }

    async fn insert(&self, record: &Record, on_conflict: OnConflict) -> Result<bool, DbError> {
        use sea_orm::IntoActiveModel;
        let row = self.row(record)?.into_active_model();
        let inserted = session::Entity::insert(row)
            .on_conflict(on_conflict)
            .exec_without_returning(&self.db.pool)
            .await?;
        Ok(inserted > 0)
    }

    async fn find(&self, id: &Id) -> Result<Option<Record>, DbError> {
        let now = At::try_from(self.clock.now())?;
        let _turn = self.db.turn().await;
        let row = session::Entity::find_by_id(self.stored(*id))
            .filter(session::Column::ExpiresAt.gt(now))
            .one(&self.db.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let expires_at = jiff::Timestamp::try_from(row.expires_at)?;
        let record = Record {
            id: *id,
            data: from_json("sessions.data", row.data)?,
            expiry_date: OffsetDateTime::from_unix_timestamp(expires_at.as_second())
                .map_err(|error| DbError::corrupt("sessions.expires_at", error))?,
        };
        let is_ours = self
            .key
            .matches(Bearer::SessionOwner, &Self::owner(&record), &row.proof);
        if !is_ours {
            tracing::warn!("a session's row does not bear this server's proof: it is taken for none");
        }
        Ok(is_ours.then_some(record))
    }
}

/// Ends every session. Gives their number.
///
/// # Errors
/// When the database does not answer.
pub async fn delete_all(tx: &InstanceTx) -> Result<u64, DbError> {
    Ok(session::Entity::delete_many().exec(&tx.tx).await?.rows_affected)
}

fn expires(record: &Record) -> Result<At, DbError> {
    jiff::Timestamp::from_second(record.expiry_date.unix_timestamp())
        .map_err(|error| DbError::corrupt("sessions.expires_at", error))?
        .try_into()
}

fn failed(error: DbError) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for PostgresSessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let keep = || OnConflict::column(session::Column::Id).do_nothing().to_owned();
        while !self.insert(record, keep()).await.map_err(failed)? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let replace = OnConflict::column(session::Column::Id)
            .update_columns([
                session::Column::UserId,
                session::Column::Data,
                session::Column::ExpiresAt,
                session::Column::Proof,
            ])
            .to_owned();
        self.insert(record, replace).await.map(drop).map_err(failed)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.find(id).await.map_err(failed)
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let done = session::Entity::delete_by_id(self.stored(*id))
            .exec(&self.db.pool)
            .await;
        done.map(drop).map_err(|error| failed(error.into()))
    }
}

#[cfg(test)]
mod tests;
