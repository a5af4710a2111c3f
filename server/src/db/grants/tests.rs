//! The table of grants beside what a real database says, verb by verb and column by column.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};

use super::{FUNCTIONS, TABLES};
use crate::db::scratch::database;

mod identities;
mod rules;
mod world;

async fn rows<T: FromQueryResult>(owner: &DatabaseConnection, sql: &str) -> Vec<T> {
    let statement = Statement::from_string(owner.get_database_backend(), sql);
    T::find_by_statement(statement).all(owner).await.unwrap()
}

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

async fn names(owner: &DatabaseConnection, sql: &str) -> BTreeSet<String> {
    let rows: Vec<Name> = rows(owner, sql).await;
    rows.into_iter().map(|row| row.name).collect()
}

/// What the role may do by the catalogue: `table.column VERB`, and `table VERB` for what is a table's.
async fn allowed(owner: &DatabaseConnection) -> BTreeSet<String> {
    let columns = "
        SELECT c.relname || '.' || a.attname || ' ' || v.verb AS name
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS v(verb)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND has_column_privilege(current_database() || '_app', c.oid, a.attnum, v.verb)";
    let tables = "
        SELECT c.relname || ' ' || v.verb AS name
        FROM pg_class c CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS v(verb)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND has_table_privilege(current_database() || '_app', c.oid, v.verb)";
    let mut allowed = names(owner, columns).await;
    allowed.extend(names(owner, tables).await);
    allowed
}

/// The same, by the table in the code.
async fn expected(owner: &DatabaseConnection) -> BTreeSet<String> {
    #[derive(FromQueryResult)]
    struct Column {
        table: String,
        name: String,
    }
    let sql =
        "SELECT table_name::text AS \"table\", column_name::text AS name FROM information_schema.columns
               WHERE table_schema = 'public'";
    let columns: Vec<Column> = rows(owner, sql).await;
    let mut expected = BTreeSet::new();
    for Column { table, name } in &columns {
        let grant = TABLES.iter().find(|grant| grant.table == table);
        let Some(grant) = grant else { continue };
        for (verb, granted) in [
            ("SELECT", grant.select),
            ("INSERT", grant.insert),
            ("UPDATE", grant.update),
        ] {
            if granted.has(name) {
                expected.insert(format!("{table}.{name} {verb}"));
            }
        }
        if grant.delete {
            expected.insert(format!("{table} DELETE"));
        }
    }
    expected
}

#[tokio::test]
async fn the_role_may_do_what_the_table_says_and_nothing_else() {
    let (db, owner) = database(1).await;
    let (is, should) = (allowed(&owner).await, expected(&owner).await);
    let too_much: Vec<_> = is.difference(&should).collect();
    let too_little: Vec<_> = should.difference(&is).collect();
    assert!(too_much.is_empty(), "beyond the table: {too_much:#?}");
    assert!(too_little.is_empty(), "not granted: {too_little:#?}");
    // It says no to what nobody is to have, and it is not empty.
    for (name, allowed) in [
        ("objects.locked_until UPDATE", true),
        ("users.operator SELECT", true),
        ("audit_events DELETE", false),
        ("audit_events.id INSERT", false),
        ("audit_events.at UPDATE", false),
        ("backup_sets.retention_days UPDATE", false),
        ("backup_sets.recovery_key UPDATE", false),
        ("snapshots DELETE", false),
        ("users.operator INSERT", false),
        ("users.operator UPDATE", false),
        ("memberships.role UPDATE", false),
        ("agents.credential_hash UPDATE", false),
        ("agents.signing_key UPDATE", false),
        ("server_key.fingerprint SELECT", false),
        ("objects TRUNCATE", false),
        ("objects TRIGGER", false),
    ] {
        assert_eq!(is.contains(name), allowed, "{name}");
    }
    drop(db);
}

#[tokio::test]
async fn every_table_of_the_schema_is_in_the_table() {
    let (_db, owner) = database(1).await;
    let sql = "SELECT relname::text AS name FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')";
    let there = names(&owner, sql).await;
    let listed: BTreeSet<String> = TABLES.iter().map(|grant| grant.table.to_owned()).collect();
    assert_eq!(there, listed);
    assert_eq!(listed.len(), TABLES.len(), "a table is listed twice");
}

/// What an older version gave is gone after a start, and a table that the code does not know is out of reach.
#[tokio::test]
async fn a_start_takes_away_what_is_not_in_the_table() {
    let (_db, owner) = database(1).await;
    let role = names(&owner, "SELECT current_database() || '_app' AS name").await;
    let role = role.first().unwrap();
    let before = allowed(&owner).await;
    let sql = format!(
        "CREATE TABLE unlisted (a integer);
         GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {role};
         GRANT UPDATE (password_hash) ON users TO {role};
         GRANT SELECT ON unlisted TO PUBLIC;
         GRANT CREATE ON SCHEMA public TO {role}"
    );
    owner.execute_unprepared(&sql).await.unwrap();
    assert!(allowed(&owner).await.contains("users.password_hash UPDATE"));
    let database = role.trim_end_matches("_app");
    let everybody = format!("GRANT CREATE, TEMPORARY ON DATABASE {database} TO {role}");
    owner.execute_unprepared(&everybody).await.unwrap();
    let again = super::statements(&format!("\"{database}\""), &format!("\"{role}\""));
    owner.execute_unprepared(&again).await.unwrap();
    assert_eq!(allowed(&owner).await, before);
    let sql = format!(
        "SELECT 'x' AS name WHERE has_schema_privilege('{role}', 'public', 'CREATE')
         OR has_database_privilege('{role}', '{database}', 'CREATE')
         OR has_database_privilege('{role}', '{database}', 'TEMPORARY')"
    );
    assert!(names(&owner, &sql).await.is_empty());
}

#[tokio::test]
async fn functions_that_act_as_the_owner_are_the_servers_alone() {
    let (_db, owner) = database(1).await;
    let signature = "p.oid::regprocedure::text";
    let all = "FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace";
    let role = "current_database() || '_app'";
    // Each is owned by the owner of the tables and finds names where nobody else can put any.
    let sql = format!(
        "SELECT {signature} AS name {all} AND p.prosecdef
         AND p.proowner = (SELECT relowner FROM pg_class WHERE oid = 'users'::regclass)
         AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']"
    );
    let sound = names(&owner, &sql).await;
    let sql = format!("SELECT {signature} AS name {all} AND p.prosecdef");
    let definers = names(&owner, &sql).await;
    assert_eq!(definers, sound);
    assert_eq!(definers.len(), 3, "{definers:?}");
    let sql = format!(
        "SELECT {signature} AS name {all} AND p.prosecdef
         AND EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) WHERE grantee = 0)"
    );
    assert!(names(&owner, &sql).await.is_empty(), "PUBLIC may call one");
    // Trigger functions are nobody's to call; the others are listed.
    let sql = format!(
        "SELECT {signature} AS name {all} AND p.prorettype <> 'trigger'::regtype
         AND has_function_privilege({role}, p.oid, 'EXECUTE')"
    );
    let callable = names(&owner, &sql).await;
    let listed = FUNCTIONS
        .iter()
        .map(|function| format!("SELECT '{function}'::regprocedure::text AS name"));
    let listed = names(&owner, &listed.collect::<Vec<_>>().join(" UNION ALL ")).await;
    assert_eq!(callable, listed);
}
