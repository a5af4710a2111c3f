//! In which order jobs are claimed, and how many.

use jiff::{SignedDuration, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use uuid::Uuid;

use super::{ClaimedJob, JobKind, Turns, claim, finish, postpone, queue_by};
use crate::{
    db::{
        Db,
        scratch::{database, tenant},
        types::to_text,
    },
    jobs::CEILINGS,
    scope::TenantScope,
};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A queue, and who claims from it.
struct Queue {
    db: Db,
    owner: DatabaseConnection,
    turns: Turns,
    queued: u128,
}

impl Queue {
    async fn new() -> Self {
        let (db, owner) = database(2).await;
        Self {
            db,
            owner,
            turns: Turns::default(),
            queued: 0,
        }
    }

    /// Queues a job that has been due longer than any that is queued later.
    async fn queue(&mut self, tenant: &TenantScope, account: u128, endpoint: &str, kind: JobKind) -> Uuid {
        self.queued += 1;
        let id = Uuid::from_u128(self.queued);
        let sql =
            "INSERT INTO jobs (id, tenant_id, kind, subject, state, run_at, storage_account_id, endpoint)
                   VALUES ($1, $2, $3, $1, 'ready', to_timestamp($4), $5, $6)";
        let due = 1_700_000_000.0 + f64::from(u32::try_from(self.queued).unwrap());
        let values = [
            id.into(),
            tenant.tenant().as_uuid().into(),
            to_text(&kind).unwrap().into(),
            due.into(),
            Uuid::from_u128(account).into(),
            endpoint.into(),
        ];
        let statement = Statement::from_sql_and_values(self.owner.get_database_backend(), sql, values);
        self.owner.execute_raw(statement).await.unwrap();
        id
    }

    async fn claim_at(&mut self, at: Timestamp) -> Option<ClaimedJob> {
        let tx = self.db.instance().await.unwrap();
        let lease = at + SignedDuration::from_secs(60);
        let job = claim(&tx, at, lease, CEILINGS, &self.turns).await.unwrap();
        tx.commit().await.unwrap();
        if let Some(job) = &job {
            self.turns.had(job);
        }
        job
    }

    async fn claim(&mut self) -> Option<ClaimedJob> {
        self.claim_at(now()).await
    }

    async fn end(&self, job: &ClaimedJob) {
        let tx = self.db.instance().await.unwrap();
        finish(&tx, job).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn tenants_take_turns_however_many_jobs_one_has() {
    let mut queue = Queue::new().await;
    let many = tenant(&queue.db, "many").await;
    let few = tenant(&queue.db, "few").await;
    for account in 0..6 {
        queue.queue(&many, account, "a", JobKind::Sweep).await;
    }
    for account in 10..12 {
        queue.queue(&few, account, "b", JobKind::Sweep).await;
    }
    let mut order = Vec::new();
    while let Some(job) = queue.claim().await {
        order.push(if job.tenant == few.tenant() { 'f' } else { 'm' });
        queue.end(&job).await;
    }
    assert_eq!(order.iter().collect::<String>(), "mfmfmmmm");
}

#[tokio::test]
async fn accounts_of_a_tenant_take_turns_and_none_has_more_than_its_share() {
    let mut queue = Queue::new().await;
    let one = tenant(&queue.db, "one").await;
    for _ in 0..5 {
        queue.queue(&one, 1, "hangs", JobKind::Sweep).await;
    }
    for _ in 0..2 {
        queue.queue(&one, 2, "answers", JobKind::Sweep).await;
    }
    let mut claimed = Vec::new();
    while let Some(job) = queue.claim().await {
        claimed.push(job);
    }
    let accounts: Vec<u128> = claimed
        .iter()
        .map(|job| job.account.unwrap().as_uuid().as_u128())
        .collect();
    assert_eq!(accounts, [1, 2, 1, 2]);
    // Two of the hanging one are at work for ever: the other account's next job is not held up.
    queue.end(&claimed[1]).await;
    queue.queue(&one, 2, "answers", JobKind::Sweep).await;
    let next = queue.claim().await.unwrap();
    assert_eq!(next.account.unwrap().as_uuid(), Uuid::from_u128(2));
    assert!(queue.claim().await.is_none());
    // A worker that is dead holds no place.
    let later = now() + SignedDuration::from_secs(61);
    assert!(queue.claim_at(later).await.is_some());
}

#[tokio::test]
async fn no_tenant_and_no_endpoint_has_every_slot() {
    let mut queue = Queue::new().await;
    let mut tenants = Vec::new();
    for name in ["a", "b", "c", "d"] {
        tenants.push(tenant(&queue.db, name).await);
    }
    // One tenant on many endpoints.
    for account in 0..8_u32 {
        let endpoint = format!("own-{account}");
        queue
            .queue(&tenants[0], account.into(), &endpoint, JobKind::Sweep)
            .await;
    }
    let mut claimed = 0;
    while queue.claim().await.is_some() {
        claimed += 1;
    }
    assert_eq!(claimed, 4);
    // Many tenants and accounts on one endpoint.
    for (at, tenant) in tenants[1..].iter().enumerate() {
        for account in 0..4 {
            let account = 100 * (at as u128 + 1) + account;
            queue.queue(tenant, account, "shared", JobKind::Sweep).await;
        }
    }
    let mut shared = Vec::new();
    while let Some(job) = queue.claim().await {
        shared.push(job);
    }
    assert_eq!(shared.len(), 2);
    // Two slots are left for commits, and for tenants that have none at work.
    queue.queue(&tenants[1], 101, "shared", JobKind::Commit).await;
    assert!(queue.claim().await.is_none(), "this tenant has one at work");
    queue.queue(&tenants[3], 999, "another", JobKind::Commit).await;
    let next = queue.claim().await.unwrap();
    assert_eq!(next.tenant, tenants[3].tenant());
    queue.end(&shared[0]).await;
    queue.end(&shared[1]).await;
    assert_eq!(queue.claim().await.unwrap().kind, JobKind::Commit);
}

/// What takes long on a storage account or an endpoint leaves room there for a commit, which people wait for.
#[tokio::test]
async fn sweeps_leave_room_for_commits() {
    let mut queue = Queue::new().await;
    let mut tenants = Vec::new();
    for name in ["a", "b", "c"] {
        tenants.push(tenant(&queue.db, name).await);
    }
    for (at, tenant) in tenants.iter().enumerate() {
        for _ in 0..3 {
            queue.queue(tenant, at as u128, "region", JobKind::Sweep).await;
        }
    }
    let mut sweeps = 0;
    while queue.claim().await.is_some() {
        sweeps += 1;
    }
    assert_eq!(sweeps, 4);
    for (at, tenant) in tenants.iter().enumerate().take(2) {
        queue.queue(tenant, at as u128, "region", JobKind::Commit).await;
    }
    for _ in 0..2 {
        assert_eq!(queue.claim().await.unwrap().kind, JobKind::Commit);
    }
}

/// Commits of one storage account, or of everybody on one endpoint, leave slots to the others.
#[tokio::test]
async fn commits_leave_room_on_other_accounts_and_endpoints() {
    let mut queue = Queue::new().await;
    let mut tenants = Vec::new();
    for at in 0..9_u32 {
        tenants.push(tenant(&queue.db, &format!("tenant {at}")).await);
    }
    for _ in 0..5 {
        queue.queue(&tenants[0], 1, "hangs", JobKind::Commit).await;
    }
    let mut claimed = Vec::new();
    while let Some(job) = queue.claim().await {
        claimed.push(job);
    }
    assert_eq!(claimed.len(), 3);
    queue.queue(&tenants[0], 2, "answers", JobKind::Commit).await;
    claimed.extend(queue.claim().await);
    assert_eq!(claimed.len(), 4);
    // Those that wait are in the way of nobody.
    let owner = &queue.owner;
    owner.execute_unprepared("DELETE FROM jobs").await.unwrap();

    for (account, tenant) in (10..).zip(&tenants[1..]) {
        queue.queue(tenant, account, "region", JobKind::Commit).await;
    }
    let mut claimed = 0;
    while queue.claim().await.is_some() {
        claimed += 1;
    }
    assert_eq!(claimed, 6);
    queue.queue(&tenants[0], 2, "answers", JobKind::Commit).await;
    assert_eq!(queue.claim().await.unwrap().tenant, tenants[0].tenant());
}

#[tokio::test]
async fn commits_go_before_sweeps_before_checks_and_checks_leave_slots() {
    let mut queue = Queue::new().await;
    let one = tenant(&queue.db, "one").await;
    queue.queue(&one, 1, "a", JobKind::Check).await;
    queue.queue(&one, 1, "a", JobKind::Sweep).await;
    queue.queue(&one, 1, "a", JobKind::Commit).await;
    let mut kinds = Vec::new();
    while let Some(job) = queue.claim().await {
        kinds.push(job.kind);
        queue.end(&job).await;
    }
    assert_eq!(kinds, [JobKind::Commit, JobKind::Sweep, JobKind::Check]);

    let mut tenants = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let scope = tenant(&queue.db, name).await;
        queue
            .queue(&scope, 50 + tenants.len() as u128, name, JobKind::Check)
            .await;
        tenants.push(scope);
    }
    let mut checks = 0;
    while queue.claim().await.is_some() {
        checks += 1;
    }
    assert_eq!(checks, 3);
    queue.queue(&tenants[4], 54, "e", JobKind::Sweep).await;
    assert_eq!(queue.claim().await.unwrap().kind, JobKind::Sweep);
}

/// A commit's sweep does not wait for as long as one that failed, and one that is at work is left alone.
#[tokio::test]
async fn a_job_that_waits_is_due_at_the_latest_when_it_is_queued_by() {
    let mut queue = Queue::new().await;
    let one = tenant(&queue.db, "one").await;
    let id = queue.queue(&one, 1, "a", JobKind::Sweep).await;
    let job = queue.claim().await.unwrap();
    let db = queue.db.clone();
    let by = |at: Timestamp| {
        let (db, one) = (db.clone(), &one);
        async move {
            let tx = db.tenant(one).await.unwrap();
            queue_by(&tx, Uuid::from_u128(99), JobKind::Sweep, id, None, at)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    };
    by(now() - SignedDuration::from_secs(1)).await;
    assert!(queue.claim().await.is_none());
    let tx = queue.db.instance().await.unwrap();
    postpone(
        &tx,
        &job,
        now() + SignedDuration::from_mins(15),
        "a lock that nobody can end",
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    by(now() + SignedDuration::from_mins(20)).await;
    assert!(queue.claim().await.is_none());
    by(now()).await;
    assert_eq!(queue.claim().await.unwrap().subject, id);
}
