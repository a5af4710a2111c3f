//! The pool of connections, and the transactions that it gives. Each sees what its kind allows and no more.

use std::sync::Arc;

use jiff::Timestamp;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel,
    ModelTrait, Statement,
};
use shared::ids::{TenantId, UserId};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    error::DbError,
    tx::{Tx, Watch},
    types::At,
};
use crate::scope::TenantScope;

/// The pool of connections, all under the restricted role that row-level security binds.
#[derive(Clone, Debug)]
pub struct Db {
    pub(super) pool: DatabaseConnection,
    pub(super) watch: Arc<Watch>,
    /// See [`Db::turn`].
    pub(super) turns: Arc<Semaphore>,
}

impl Db {
    // Promise: P10
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
        row.try_get::<At>("", "at")?.try_into()
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
    pub(super) tx: Tx,
    pub(super) tenant: TenantId,
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
    pub(super) tx: Tx,
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
    pub(super) tx: Tx,
    pub(super) user: UserId,
}

/// Inserts a whole row.
pub(super) async fn insert<M>(tx: &Tx, row: M) -> Result<(), DbError>
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
