//! Whose a session is: whoever can write to the table, as the server's role can, gives himself no other user.

use sea_orm::ConnectionTrait;
use serde_json::json;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
};
use uuid::Uuid;

use super::{PostgresSessions, USER_KEY};
use crate::{
    db::scratch::database,
    secrets::{BearerKey, MasterKey},
};

const OPERATOR: Uuid = Uuid::from_u128(1);
const TECHNICIAN: Uuid = Uuid::from_u128(2);

fn record(user: Uuid) -> Record {
    Record {
        id: Id::default(),
        data: [(USER_KEY.to_owned(), json!(user))].into(),
        expiry_date: time::OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap(),
    }
}

#[tokio::test]
async fn a_row_that_the_server_has_not_written_is_no_session() {
    let (db, owner) = database(2).await;
    for (user, is_operator) in [(OPERATOR, true), (TECHNICIAN, false)] {
        let sql = format!("INSERT INTO users VALUES ('{user}', '{user}', 'x', {is_operator}, now())");
        owner.execute_unprepared(&sql).await.unwrap();
    }
    let store = PostgresSessions::new(db.clone(), BearerKey::new(&MasterKey::new([7; 32])));
    let (mut own, mut others) = (record(TECHNICIAN), record(OPERATOR));
    store.create(&mut own).await.unwrap();
    store.create(&mut others).await.unwrap();
    assert_eq!(store.load(&own.id).await.unwrap(), Some(own.clone()));
    own.data.insert("more".into(), json!(1.50));
    store.save(&own).await.unwrap();
    assert_eq!(store.load(&own.id).await.unwrap(), Some(own.clone()));

    let (mine, theirs) = (store.stored(own.id), store.stored(others.id));
    let columns = "id, user_id, data, expires_at, proof";
    for forged in [
        // The operator's row under the id of a cookie that somebody else has.
        format!("SELECT '{mine}', user_id, data, expires_at, proof FROM unnest(old) WHERE id = '{theirs}'"),
        // His own proof with another user.
        format!(
            "SELECT '{mine}', '{OPERATOR}', jsonb_build_object('user', '{OPERATOR}'), expires_at, proof FROM unnest(old) WHERE id = '{mine}'"
        ),
        format!(
            "SELECT '{mine}', user_id, jsonb_build_object('user', '{OPERATOR}'), expires_at, proof FROM unnest(old) WHERE id = '{mine}'"
        ),
        // A longer session.
        format!(
            "SELECT '{mine}', user_id, data, expires_at + interval '1 day', proof FROM unnest(old) WHERE id = '{mine}'"
        ),
        // Written by a server that proves nothing.
        format!("SELECT '{mine}', user_id, data, expires_at, '' FROM unnest(old) WHERE id = '{mine}'"),
    ] {
        let sql = format!(
            "DO $$ DECLARE old sessions[] := ARRAY(SELECT s FROM sessions s);
             BEGIN
                 DELETE FROM sessions WHERE id = '{mine}';
                 INSERT INTO sessions ({columns}) {forged};
             END $$"
        );
        db.pool.execute_unprepared(&sql).await.unwrap();
        let found = store.load(&own.id).await;
        assert!(!matches!(found, Ok(Some(_))), "{forged}: {found:?}");
        let back = format!("DELETE FROM sessions WHERE id = '{mine}'");
        db.pool.execute_unprepared(&back).await.unwrap();
        store.save(&own).await.unwrap();
        assert_eq!(store.load(&own.id).await.unwrap(), Some(own.clone()));
    }
}
