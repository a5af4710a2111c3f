//! Running statements and reading rows as records, in a transaction.

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Select, Statement, Value};

use super::{DbError, tx::Tx};

impl Tx {
    fn statement(&self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.get_database_backend(), sql, values)
    }

    /// Runs a statement. Gives how many rows it changed.
    pub(super) async fn run(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, DbError> {
        let statement = self.statement(sql, values);
        Ok(self.execute_raw(statement).await?.rows_affected())
    }

    /// The rows of a statement.
    pub(super) async fn rows<R: FromQueryResult>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>, DbError> {
        let statement = self.statement(sql, values);
        Ok(R::find_by_statement(statement).all(self).await?)
    }

    /// The first row of a statement.
    pub(super) async fn row<R: FromQueryResult>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<R>, DbError> {
        let statement = self.statement(sql, values);
        Ok(R::find_by_statement(statement).one(self).await?)
    }

    /// Whether a statement has a row.
    pub(super) async fn exists(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<bool, DbError> {
        let statement = self.statement(sql, values);
        Ok(self.query_one_raw(statement).await?.is_some())
    }

    /// The records that a query finds.
    pub(super) async fn records<E, R>(&self, query: Select<E>) -> Result<Vec<R>, DbError>
    where
        E: EntityTrait,
        R: TryFrom<E::Model, Error = DbError>,
    {
        let rows = query.all(self).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The record that a query finds, if there is one.
    pub(super) async fn record<E, R>(&self, query: Select<E>) -> Result<Option<R>, DbError>
    where
        E: EntityTrait,
        R: TryFrom<E::Model, Error = DbError>,
    {
        let row = query.one(self).await?;
        row.map(TryInto::try_into).transpose()
    }
}
