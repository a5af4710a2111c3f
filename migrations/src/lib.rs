//! Holdfast's database schema, step by step. Postgres only.
//!
//! Each step is one SQL file that never changes once it has been released: a change is a new step, made so
//! that the old server still runs on it (expand), with a later one that takes away what nobody uses (contract).

use sea_orm_migration::prelude::*;

/// Every step, in order.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let steps = [
            SqlStep {
                name: "m0001_initial",
                up: include_str!("sql/m0001_initial.sql"),
            },
            SqlStep {
                name: "m0002_retention",
                up: include_str!("sql/m0002_retention.sql"),
            },
            SqlStep {
                name: "m0003_bucket_checks",
                up: include_str!("sql/m0003_bucket_checks.sql"),
            },
            SqlStep {
                name: "m0004_sound_snapshots",
                up: include_str!("sql/m0004_sound_snapshots.sql"),
            },
            SqlStep {
                name: "m0005_later_packs",
                up: include_str!("sql/m0005_later_packs.sql"),
            },
            SqlStep {
                name: "m0006_job_turns",
                up: include_str!("sql/m0006_job_turns.sql"),
            },
            SqlStep {
                name: "m0007_bearers",
                up: include_str!("sql/m0007_bearers.sql"),
            },
            SqlStep {
                name: "m0008_commit_pages",
                up: include_str!("sql/m0008_commit_pages.sql"),
            },
            SqlStep {
                name: "m0009_absence",
                up: include_str!("sql/m0009_absence.sql"),
            },
            SqlStep {
                name: "m0010_server_key",
                up: include_str!("sql/m0010_server_key.sql"),
            },
            SqlStep {
                name: "m0012_commit_refusals",
                up: include_str!("sql/m0012_commit_refusals.sql"),
            },
            SqlStep {
                name: "m0013_app_role",
                up: include_str!("sql/m0013_app_role.sql"),
            },
            SqlStep {
                name: "m0014_upload_budget",
                up: include_str!("sql/m0014_upload_budget.sql"),
            },
            SqlStep {
                name: "m0015_runs_by_source",
                up: include_str!("sql/m0015_runs_by_source.sql"),
            },
            SqlStep {
                name: "m0016_anomalies",
                up: include_str!("sql/m0016_anomalies.sql"),
            },
            SqlStep {
                name: "m0017_runs_again",
                up: include_str!("sql/m0017_runs_again.sql"),
            },
            SqlStep {
                name: "m0018_source_options",
                up: include_str!("sql/m0018_source_options.sql"),
            },
            SqlStep {
                name: "m0020_agents_again",
                up: include_str!("sql/m0020_agents_again.sql"),
            },
            SqlStep {
                name: "m0021_machines",
                up: include_str!("sql/m0021_machines.sql"),
            },
            SqlStep {
                name: "m0022_restore_permissions",
                up: include_str!("sql/m0022_restore_permissions.sql"),
            },
        ];
        steps
            .into_iter()
            .map(|step| Box::new(step) as Box<dyn MigrationTrait>)
            .collect()
    }
}

struct SqlStep {
    name: &'static str,
    up: &'static str,
}

impl MigrationName for SqlStep {
    fn name(&self) -> &str {
        self.name
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait is written so")]
#[async_trait::async_trait]
impl MigrationTrait for SqlStep {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .get_connection()
            .execute_unprepared(self.up)
            .await
            .map(drop)
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration(
            "Holdfast's schema goes forward only: restore the database's backup instead".into(),
        ))
    }
}
