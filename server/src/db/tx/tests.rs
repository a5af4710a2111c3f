//! Requests that are cut off at every point where they wait, on a pool of one or two connections: who gets the connection next
//! sees no tenant, no open transaction, and its own writes as it left them.

use std::{
    io::Write,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tower_sessions::{SessionStore, session};

use crate::{
    db::{
        self, Db,
        scratch::{database, tenant},
        sessions::PostgresSessions,
    },
    scope::TenantScope,
    secrets::{Bearer, BearerKey, MasterKey},
};

/// Lets a future wait `polls` times and drops it then; with `linger`, a moment later, when the answer that it waited for may be
/// there. Whether it came to its end.
async fn cut_off(work: impl Future, mut polls: usize, linger: bool) -> bool {
    let mut work = pin!(work);
    let ended = std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if polls == 0 => Poll::Ready(false),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    })
    .await;
    if !ended && linger {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    ended
}

/// What the next user of a connection finds before it does anything: the tenant, and whether a transaction is open. Postgres
/// refuses a savepoint outside one.
async fn found(db: &Db) -> (String, bool) {
    let open = db.pool.execute_unprepared("SAVEPOINT probe").await.is_ok();
    let sql = "SELECT COALESCE(current_setting('app.tenant_id', true), '') AS tenant";
    let statement = Statement::from_string(db.pool.get_database_backend(), sql);
    let row = db.pool.query_one_raw(statement).await.unwrap().unwrap();
    (row.try_get("", "tenant").unwrap(), open)
}

/// A session is written without a transaction: it is there at once for everybody.
async fn must_keep_a_session(db: &Db, owner: &DatabaseConnection) {
    let mut record = session::Record {
        id: session::Id::default(),
        data: Default::default(),
        expiry_date: time::OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap(),
    };
    let key = BearerKey::new(&MasterKey::new([7; 32]));
    PostgresSessions::new(db.clone(), key.clone())
        .create(&mut record)
        .await
        .unwrap();
    let kept = data_encoding::HEXLOWER.encode(&key.hash(Bearer::Session, &record.id.to_string()));
    let sql = "SELECT 1 AS one FROM sessions WHERE id = $1";
    let values = [kept.into()];
    let statement = Statement::from_sql_and_values(owner.get_database_backend(), sql, values);
    assert!(
        owner.query_one_raw(statement).await.unwrap().is_some(),
        "a session was written into somebody's open transaction"
    );
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Cuts `work` off everywhere, and looks at the connection each time.
async fn cut_off_everywhere<F: Future>(
    db: &Db,
    owner: &DatabaseConnection,
    other: &TenantScope,
    work: impl Fn() -> F,
) {
    for linger in [false, true] {
        let mut polls = 0;
        while !cut_off(work(), polls, linger).await {
            assert_eq!(
                found(db).await,
                (String::new(), false),
                "cut off after {polls} waits"
            );
            must_keep_a_session(db, owner).await;
            let tx = db.tenant(other).await.unwrap();
            let current = db::tenants::current(&tx).await.unwrap().unwrap();
            assert_eq!(current.id, other.tenant());
            drop(tx);
            polls += 1;
        }
        // How often it waits depends on how quickly the database answers; at BEGIN it always does.
        assert!(polls >= 1, "the work never waited: it was not cut off");
    }
}

async fn on_so_many_connections(connections: u32) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let (db, owner) = database(connections).await;
    let (one, other) = (tenant(&db, "one").await, tenant(&db, "other").await);
    // Committed.
    cut_off_everywhere(&db, &owner, &other, || async {
        let tx = db.tenant(&one).await.unwrap();
        db::tenants::current(&tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    // Rolled back, as everything that only reads is.
    cut_off_everywhere(&db, &owner, &other, || async {
        let tx = db.tenant(&one).await.unwrap();
        db::sources::all(&tx).await.unwrap();
    })
    .await;
    // Several that follow each other, as in a page.
    cut_off_everywhere(&db, &owner, &other, || async {
        drop(db.instance().await.unwrap());
        let tx = db.tenant(&one).await.unwrap();
        db::agents::all(&tx).await.unwrap();
        drop(tx);
        db.ping().await.unwrap();
    })
    .await;
    let heard = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!heard.contains("transaction in progress"), "{heard}");
}

#[tokio::test]
async fn a_request_that_is_cut_off_leaves_nothing_on_the_only_connection() {
    on_so_many_connections(1).await;
}

#[tokio::test]
async fn a_request_that_is_cut_off_leaves_nothing_on_two_connections() {
    on_so_many_connections(2).await;
}
