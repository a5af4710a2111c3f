//! How often the server was started, as the database knows it.

use sea_orm::{ConnectionTrait, Statement};

use super::{
    DbError, InstanceTx,
    types::{signed, unsigned},
};

/// The number of the last start, if any. Holds the row, so that two servers that start together go one after the other.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn find(tx: &InstanceTx) -> Result<Option<u64>, DbError> {
    let sql = "SELECT epoch FROM server_epoch FOR UPDATE";
    let statement = Statement::from_string(tx.tx.get_database_backend(), sql);
    let row = tx.tx.query_one_raw(statement).await?;
    row.map(|row| unsigned("server_epoch.epoch", row.try_get("", "epoch")?))
        .transpose()
}

/// Sets the number of this start.
pub async fn set(tx: &InstanceTx, epoch: u64) -> Result<(), DbError> {
    let sql = "INSERT INTO server_epoch (epoch) VALUES ($1) ON CONFLICT (single) DO UPDATE SET epoch = $1";
    let values = [signed("server_epoch.epoch", epoch)?.into()];
    tx.tx.run(sql, values).await?;
    Ok(())
}
