//! Start-up of the database: migrations as the owner, then everything as a role that row-level security binds.

use std::sync::Arc;

use migrations::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::MigratorTrait;
use tokio::sync::Semaphore;

use super::{Db, DbError, bound, grants, scram};
use crate::{random, secrets::MasterKey};

/// Held while migrating, so that two servers that start together do not both try. An arbitrary constant.
const MIGRATION_LOCK: i64 = 0x486f_6c64_6661_7374;
/// Connections of the server's role, at most.
pub const CONNECTIONS: u32 = 16;
/// How many of them look up who somebody is, at most.
pub const LOOK_UPS: usize = 6;

impl Db {
    /// Brings the schema up to date as the role of `owner_url`, makes (or re-keys) the restricted role
    /// `<database>_app` with a password that follows from the master key, and connects as that role.
    ///
    /// # Errors
    /// When the database belongs to another master key: then nothing is changed. When the address is malformed, the database
    /// does not answer, or the owner may not make roles.
    pub async fn start(owner_url: &str, key: &MasterKey) -> Result<Self, DbError> {
        Self::start_with(owner_url, key, CONNECTIONS).await
    }

    /// The same, with so many connections at most.
    pub(super) async fn start_with(
        owner_url: &str,
        key: &MasterKey,
        connections: u32,
    ) -> Result<Self, DbError> {
        let password = key.database_password();
        let owner = Database::connect(options(owner_url, 2)).await?;
        let role = prepare(&owner, key, &password).await;
        owner.close().await?;
        let role = role?;
        let pool = Database::connect(options(&app_url(owner_url, &role, &password)?, connections)).await?;
        // The address may name another user in its query: the second wall must not be off without a word.
        let bound = "SELECT current_user = $1 AND NOT rolsuper AND NOT rolbypassrls AS bound
                     FROM pg_roles WHERE rolname = current_user";
        let bound =
            Statement::from_sql_and_values(pool.get_database_backend(), bound, [role.as_str().into()]);
        let row = pool.query_one_raw(bound).await?;
        if !row
            .map(|row| row.try_get("", "bound"))
            .transpose()?
            .unwrap_or(false)
        {
            return Err(DbError::corrupt(
                "DATABASE_URL",
                "row-level security does not bind the connection: name the user before the `@`, not in the query",
            ));
        }
        Ok(Self {
            pool,
            watch: Arc::default(),
            turns: Arc::new(Semaphore::new(LOOK_UPS)),
        })
    }
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .sqlx_logging(false)
        .acquire_timeout(std::time::Duration::from_secs(10));
    options
}

async fn prepare(owner: &DatabaseConnection, key: &MasterKey, app_password: &str) -> Result<String, DbError> {
    let sql = |sql: &str| Statement::from_string(owner.get_database_backend(), sql);
    // Advisory locks belong to a connection: this one statement takes and keeps it on one of the owner's few,
    // and closing the pool gives it back. Roles are shared by the whole cluster, hence a lock and not a transaction.
    owner
        .execute_raw(sql(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")))
        .await?;
    bound::must_fit(owner, key).await?;
    Migrator::up(owner, None).await?;
    bound::bind(owner, key).await?;
    let row = owner
        .query_one_raw(sql("SELECT current_database()::text AS database"))
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("current_database()".into()))?;
    let database: String = row.try_get("", "database")?;
    let role = format!("{database}_app");
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let quoted = quote(&role);
    let found = owner
        .query_one_raw(Statement::from_sql_and_values(
            owner.get_database_backend(),
            "SELECT rolsuper OR rolbypassrls AS unbound FROM pg_roles WHERE rolname = $1",
            [role.as_str().into()],
        ))
        .await?;
    // Only a superuser may say NOSUPERUSER of a role that exists; a role that needs it said is refused instead.
    let attributes = match found {
        None => format!("CREATE ROLE {quoted} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"),
        Some(row) if row.try_get("", "unbound")? => {
            return Err(DbError::corrupt(
                "the role of the server",
                format!("{role} bypasses row-level security"),
            ));
        }
        Some(_) => format!("ALTER ROLE {quoted} LOGIN"),
    };
    // The verifier is base64 and a few signs: nothing in it needs quoting. Statements that are sent together are one
    // transaction: a server that is at work beside this one is at no moment without its grants.
    let verifier = scram::verifier(app_password, random::bytes());
    owner
        .execute_unprepared(&format!(
            "{attributes} PASSWORD '{verifier}';\n{}",
            grants::statements(&quote(&database), &quoted)
        ))
        .await?;
    Ok(role)
}

/// The owner's address with another user and password.
fn app_url(owner_url: &str, role: &str, password: &str) -> Result<String, DbError> {
    let malformed =
        || DbErr::Custom("DATABASE_URL: expected postgres://user:password@host:port/database".into());
    let (scheme, rest) = owner_url.split_once("://").ok_or_else(malformed)?;
    let (authority, path) = rest.split_once('/').ok_or_else(malformed)?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let role: String = role
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    Ok(format!("{scheme}://{role}:{password}@{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_role_goes_into_the_owners_address() {
        assert_eq!(
            app_url(
                "postgres://o:p%40w@127.0.0.1:5433/hold fast?sslmode=disable",
                "hold fast_app",
                "ab"
            )
            .unwrap(),
            "postgres://hold%20fast_app:ab@127.0.0.1:5433/hold fast?sslmode=disable"
        );
        assert!(app_url("not an address", "r", "p").is_err());
    }
}
