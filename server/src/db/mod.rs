//! The database: the only module that speaks SQL.
//!
//! One transaction per use case, and none is held across a call to S3 or to a browser. A [`TenantTx`] sees one
//! tenant's rows; it can be opened only with a [`TenantScope`], which only authorisation can make. An
//! [`InstanceTx`] sees users, sessions, the list of tenants and the job queue, and nothing that a tenant stores.
//!
//! Row locks are taken in one order, everywhere: rows that belong to no source; **one** source's row
//! ([`Db::of_source`]); what belongs to that source (runs, snapshots, objects, restores, sweeps), which nobody changes
//! without holding the source's row; jobs. See [`order`].

pub mod absence;
pub mod agents;
pub mod audit;
pub mod backup_sets;
pub mod bearers;
mod bound;
pub mod checks;
pub mod commit_pages;
mod connect;
pub mod due;
pub mod enrollment;
mod entity;
pub mod epoch;
mod grants;
pub mod groom;
pub mod jobs;
pub mod ledger;
pub mod lists;
pub mod needed;
pub mod notices;
pub mod order;
pub mod rebuild;
pub mod restores;
pub mod runs;
mod scram;
#[cfg(test)]
mod scratch;
pub mod sessions;
pub mod set_sums;
pub mod short;
pub mod snapshots;
pub mod sources;
pub mod storage_accounts;
pub mod sweeps;
pub mod tenants;
mod tx;
mod types;
pub mod users;

pub use self::connect::{CONNECTIONS, LOOK_UPS};

use std::sync::Arc;

use jiff::Timestamp;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, IntoActiveModel, ModelTrait, SqlErr, Statement,
};
use shared::ids::{SourceId, TenantId, UserId};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::tx::{Tx, Watch};
use crate::scope::TenantScope;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database refused or did not answer.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// A row holds what this version does not understand.
    #[error("the database holds something unexpected in {what}: {detail}")]
    Corrupt {
        /// Where.
        what: &'static str,
        /// What.
        detail: String,
    },
    /// The database belongs to another server's data folder.
    #[error(
        "it belongs to another master key than the one in this data folder. Name the data folder that its server has always used, \
         or put that folder's master.key back from its backup. If the key is lost, start with an empty database and rebuild the \
         ledgers from the buckets. Nothing was changed"
    )]
    OtherKey,
}

impl DbError {
    fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }

    /// Whether no connection was free in time: all of them are at work.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Database(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        )
    }

    /// Whether a unique index refused the row: somebody was faster, or a name is taken.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error)
            if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}

/// The pool of connections, all under the restricted role that row-level security binds.
#[derive(Clone, Debug)]
pub struct Db {
    pool: DatabaseConnection,
    watch: Arc<Watch>,
    /// See [`Db::turn`].
    turns: Arc<Semaphore>,
}

impl Db {
    /// Opens a transaction that sees one tenant.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<TenantTx, DbError> {
        let tx = Tx::begin(&self.pool, &self.watch).await?;
        set(&tx, "app.tenant_id", &scope.tenant().as_uuid().to_string()).await?;
        Ok(TenantTx {
            tx,
            tenant: scope.tenant(),
        })
    }

    /// The same, with a source's row locked until it ends: what every transaction needs that changes anything of a source.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn of_source(&self, scope: &TenantScope, source: SourceId) -> Result<TenantTx, DbError> {
        let tx = self.tenant(scope).await?;
        sources::lock(&tx, source).await?;
        Ok(tx)
    }

    /// What went wrong with row locks since this server started: deadlocks, and with debug assertions, statements out of
    /// [`order`]. Empty, unless there is a fault in the server.
    #[must_use]
    pub fn lock_faults(&self) -> Vec<String> {
        self.watch.faults()
    }

    /// A turn for looking up who somebody is. Only some of the connections do that at a time, however many strangers come: the
    /// others are left for those who are known, and for `/healthz`.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// Opens a transaction that sees the instance's own tables.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn instance(&self) -> Result<InstanceTx, DbError> {
        let tx = Tx::begin(&self.pool, &self.watch).await?;
        set(&tx, "app.instance", "on").await?;
        Ok(InstanceTx { tx })
    }

    /// Opens a transaction that sees one user's memberships and the tenants behind them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn user(&self, user: UserId) -> Result<UserTx, DbError> {
        let tx = Tx::begin(&self.pool, &self.watch).await?;
        set(&tx, "app.user_id", &user.as_uuid().to_string()).await?;
        Ok(UserTx { tx, user })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        Ok(self.pool.ping().await?)
    }

    /// The database's own clock.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn time(&self) -> Result<Timestamp, DbError> {
        let sql = Statement::from_string(self.pool.get_database_backend(), "SELECT clock_timestamp() AS at");
        let row = self.pool.query_one_raw(sql).await?;
        let row = row.ok_or_else(|| DbError::corrupt("clock_timestamp()", "no row"))?;
        row.try_get::<types::At>("", "at")?.try_into()
    }
}

/// Sets a value for this transaction only.
async fn set(tx: &Tx, name: &str, value: &str) -> Result<(), DbError> {
    let sql = "SELECT set_config($1, $2, true)";
    tx.query_one_raw(Statement::from_sql_and_values(
        tx.get_database_backend(),
        sql,
        [name.into(), value.into()],
    ))
    .await?;
    Ok(())
}

/// A transaction that sees one tenant's rows and no others. Rolled back unless committed.
#[derive(Debug)]
pub struct TenantTx {
    tx: Tx,
    tenant: TenantId,
}

impl TenantTx {
    /// Makes the changes durable.
    ///
    /// # Errors
    /// When the database does not answer: then whether they are is unknown.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.tx.commit().await?)
    }
}

/// A transaction on the instance's own tables. Rolled back unless committed.
#[derive(Debug)]
pub struct InstanceTx {
    tx: Tx,
}

impl InstanceTx {
    /// Makes the changes durable.
    ///
    /// # Errors
    /// When the database does not answer: then whether they are is unknown.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.tx.commit().await?)
    }
}

/// A transaction that reads one user's memberships.
#[derive(Debug)]
pub struct UserTx {
    tx: Tx,
    user: UserId,
}

/// Inserts a whole row.
async fn insert<M>(tx: &Tx, row: M) -> Result<(), DbError>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel:
        ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
{
    <M::Entity as EntityTrait>::insert(row.into_active_model().reset_all())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
