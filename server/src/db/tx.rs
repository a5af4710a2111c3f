//! A transaction that is begun and ended whole, and whose row locks are watched.
//!
//! Whoever waits for a transaction may be dropped at any moment: a browser that goes to another page takes its request with it.
//! Between the statements, and in the middle of one, that is harmless: the connection goes back to the pool behind a
//! ROLLBACK. In the middle of BEGIN or COMMIT it is not. sqlx 0.9 counts a transaction when the answer to BEGIN has come: dropped
//! before, the connection goes back to the pool *with an open transaction*, and what the next user of the pool writes without a
//! transaction of its own is committed or rolled back by the user after it. Dropped before the answer to COMMIT has come, the
//! transaction is rolled back once more. So both run in tasks of their own, which nobody drops.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionTrait,
};

use super::order::Order;

/// Sentences that are kept: one fault is enough to look for its cause.
const KEPT: usize = 16;

/// What went wrong with row locks since the server started: deadlocks, and statements out of [order](super::order).
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Vec<String>>);

impl Watch {
    /// What was noted, at most the first few.
    pub(super) fn faults(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, fault: String) {
        tracing::error!(fault, "row locks");
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < KEPT {
            faults.push(fault);
        }
    }
}

/// The SQLSTATE of an error, where the database gave one (PostgreSQL, appendix A).
fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Conn(inner) | DbErr::Exec(inner) | DbErr::Query(inner)) = error else {
        return None;
    };
    match inner {
        RuntimeErr::SqlxError(error) => Some(error.as_database_error()?.code()?.into_owned()),
        RuntimeErr::Internal(_) => None,
    }
}

/// An open transaction. Rolled back unless committed.
pub(super) struct Tx {
    inner: DatabaseTransaction,
    watch: Arc<Watch>,
    order: Mutex<Order>,
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

/// Does the work to its end, also when the caller is dropped.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T, DbErr> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(DbErr::Custom("the server is going down".into())),
    }
}

impl Tx {
    /// Begins one.
    pub(super) async fn begin(pool: &DatabaseConnection, watch: &Arc<Watch>) -> Result<Self, DbErr> {
        let pool = pool.clone();
        Ok(Self {
            inner: whole(async move { pool.begin().await }).await?,
            watch: watch.clone(),
            order: Mutex::default(),
        })
    }

    /// Commits it.
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        let inner = self.inner;
        let done = whole(async move { inner.commit().await }).await;
        watched(&self.watch, "COMMIT", done)
    }

    fn order(&self, statement: &Statement) {
        if cfg!(debug_assertions) {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(fault) = order.statement(statement) {
                self.watch.note(format!("out of order: {fault}"));
            }
        }
    }
}

/// Notes a deadlock.
fn watched<T>(watch: &Watch, sql: &str, done: Result<T, DbErr>) -> Result<T, DbErr> {
    if let Err(error) = &done
        && sqlstate(error).is_some_and(|state| state == "40P01")
    {
        watch.note(format!("deadlock: {error}: {sql}"));
    }
    done
}

#[async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.order(&statement);
        let sql = statement.sql.clone();
        watched(&self.watch, &sql, self.inner.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.order(&Statement::from_string(self.get_database_backend(), sql));
        watched(&self.watch, sql, self.inner.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.order(&statement);
        let sql = statement.sql.clone();
        watched(&self.watch, &sql, self.inner.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.order(&statement);
        let sql = statement.sql.clone();
        watched(&self.watch, &sql, self.inner.query_all_raw(statement).await)
    }
}

#[cfg(test)]
mod tests;
