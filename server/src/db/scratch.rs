//! Databases for tests of this module.

use jiff::Timestamp;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use shared::{
    api::view::Me,
    ids::{TenantId, UserId},
};
use uuid::Uuid;

use super::{Db, tenants::Tenant};
use crate::{
    db, random,
    scope::{Person, TenantScope, Viewer},
    secrets::MasterKey,
};

/// A database of its own, the server's role in it on so many connections, and its owner.
pub(super) async fn database(connections: u32) -> (Db, DatabaseConnection) {
    let admin = std::env::var("HOLDFAST_TEST_DATABASE_URL")
        .expect("HOLDFAST_TEST_DATABASE_URL must name a Postgres for tests: run `cargo xtask test unit`");
    let name = format!("test_{}", Uuid::from_bytes(random::bytes()).simple());
    let connection = Database::connect(&admin).await.unwrap();
    connection
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (server, _) = admin.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    let owner = Database::connect(&url).await.unwrap();
    let db = Db::start_with(&url, &MasterKey::new(random::bytes()), connections)
        .await
        .unwrap();
    (db, owner)
}

/// A tenant of that name, and leave to touch it.
pub(super) async fn tenant(db: &Db, name: &str) -> TenantScope {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let tenant = Tenant {
        id: TenantId::from_uuid(random::uuid(now)),
        name: name.to_owned(),
    };
    let tx = db.instance().await.unwrap();
    db::tenants::add(&tx, &tenant, now).await.unwrap();
    tx.commit().await.unwrap();
    let operator = Me {
        id: UserId::from_uuid(random::uuid(now)),
        email: "operator@example.test".into(),
        operator: true,
    };
    Viewer::authorise(db, Person::of_session(operator), tenant.id)
        .await
        .unwrap()
        .scope
}
