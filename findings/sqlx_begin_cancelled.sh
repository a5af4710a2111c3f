#!/usr/bin/env bash
# sqlx 0.9.0 with PostgreSQL 15, seen on 2026-11-30.
#
# A future of `Pool::begin` that is dropped while BEGIN is under way gives its connection back to the pool inside the transaction
# that BEGIN opens. Whoever takes the connection next and writes without a transaction of its own (`query(…).execute(&pool)`)
# gets Ok, and nobody else sees the row: it is in the transaction of the one that was dropped. It is a valid use: web servers drop
# the future of a request whose client has gone.
#
# Expected: the row is there when `execute` has answered. Seen:
#
#     polls 2: execute said Ok, rows that another connection sees: 0, the connection is inside a transaction: true
#
# Exits with 0 while that is so, with 1 when it has changed, with 2 when it could not be tried.
set -euo pipefail
folder=$(mktemp -d)
trap 'if [ -n "${postgres:-}" ]; then kill "$postgres" 2>/dev/null || true; wait "$postgres" 2>/dev/null || true; fi; rm -rf "$folder"' EXIT
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1) || true
[ -n "$bin" ] || { echo "needs PostgreSQL's server programs: apt-get install postgresql"; exit 2; }
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown nobody "$folder"
    as() { runuser -u nobody -- "$@"; }
fi
as "$bin/initdb" -D "$folder/data" -U finding -A trust -E UTF8 --locale=C.UTF-8 >"$folder/initdb.log" 2>&1
port=$((20000 + RANDOM % 20000))
as "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off >"$folder/log" 2>&1 &
postgres=$!
for _ in $(seq 100); do "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" && break; sleep 0.1; done

mkdir -p "$folder/try/src"
cat >"$folder/try/Cargo.toml" <<'TOML'
[package]
name = "sqlx-begin"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "1", features = ["rt", "macros", "time"] }
TOML
cat >"$folder/try/src/main.rs" <<'RUST'
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};
use sqlx::{Executor, PgPool, Row, postgres::PgPoolOptions};

async fn one(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(pool).await.unwrap().get(0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let other = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    other.execute("CREATE TABLE rows (id int)").await.unwrap();
    let mut surprised = false;
    for polls in 1..=3 {
        let pool = PgPoolOptions::new().max_connections(1).min_connections(1).connect(&url).await.unwrap();
        {
            let mut begin = pin!(pool.begin());
            let mut left = polls;
            // So many polls, then the future is dropped, as that of a request whose client has gone.
            poll_fn(|context| {
                left -= 1;
                match begin.as_mut().poll(context) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending if left == 0 => Poll::Ready(()),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = one(&other, "SELECT count(*) FROM rows").await;
        pool.execute("INSERT INTO rows VALUES (1)").await.unwrap();
        let seen = one(&other, "SELECT count(*) FROM rows").await - before;
        let inside = one(&other, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'").await > 0;
        println!("polls {polls}: execute said Ok, rows that another connection sees: {seen}, the connection is inside a transaction: {inside}");
        surprised |= seen == 0 && inside;
        pool.close().await;
    }
    std::process::exit(i32::from(!surprised));
}
RUST
cd "$folder/try"
cargo build --quiet --target-dir "$folder/target"
status=0
"$folder/target/debug/sqlx-begin" "postgres://finding@127.0.0.1:$port/postgres" || status=$?
[ "$status" -le 1 ] || exit 2
exit "$status"
