//! Promises P1 to P3 over time, driven by the clock: what the newest snapshots need never lapses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use holdfast_server::db::{self, ledger::LedgerObject, snapshots::Snapshot};
use jiff::{SignedDuration, Timestamp};
use sea_orm::ConnectionTrait;
use shared::{
    api::{
        request::PolicyOptions,
        view::{SnapshotPage, SnapshotState, SweepReport},
    },
    object::ObjectHash,
    retention::{LockAhead, LockMode, Period, Tier},
    schedule::{Recurrence, Schedule},
};

use crate::support::{Site, Stack, versions};

pub const N: SignedDuration = days(30);
const GRACE: SignedDuration = days(1);

pub const fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

pub fn weekly() -> Schedule {
    Schedule {
        recurrence: Recurrence::Week {
            weekdays: jiff::civil::Weekday::Monday.into(),
            hour: 1,
            minute: 0,
        },
        time_zone: "UTC".into(),
    }
}

/// Bytes that no compression makes smaller, another set for each seed.
pub fn noise(seed: u32, count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|n| {
            (n ^ seed.wrapping_mul(0x9e37_79b9))
                .wrapping_mul(2_654_435_761)
                .to_le_bytes()
        })
        .collect()
}

/// Everything about a site at one moment.
pub struct Ground {
    pub now: Timestamp,
    pub ledger: Vec<LedgerObject>,
    /// Snapshots that are complete or have expired.
    pub snapshots: Vec<Snapshot>,
    /// Every version in the bucket, by key and version id, with the end of its COMPLIANCE lock.
    pub bucket: BTreeMap<(String, String), Timestamp>,
    /// What the server knows of it.
    pub known: BTreeSet<(String, String)>,
}

impl Ground {
    /// With every version and its lock as the bucket itself shows them.
    pub async fn of(stack: &Stack, site: &Site) -> Self {
        let mut ground = Self::of_ledger(stack, site).await;
        let root = stack.root();
        ground.bucket.clear();
        for (key, version) in versions(&root, &site.set.bucket).await {
            let head = root
                .head_object()
                .bucket(&site.set.bucket)
                .key(&key)
                .version_id(&version)
                .send()
                .await;
            // A sweep that has just begun may delete it under our hands; what is needed is missed below.
            let Ok(head) = head else { continue };
            let until = head.object_lock_retain_until_date().unwrap().secs();
            ground
                .bucket
                .insert((key, version), Timestamp::from_second(until).unwrap());
        }
        ground
    }

    /// With the versions and locks that S3 has confirmed to the server: quicker.
    pub async fn of_ledger(stack: &Stack, site: &Site) -> Self {
        let tx = stack.tx(site).await;
        let ledger = db::ledger::all(&tx, site.source.id).await.unwrap();
        let snapshots = db::snapshots::of_source(&tx, site.source.id).await.unwrap();
        let spares = db::groom::spares(&tx, site.source.id, None, None).await.unwrap();
        drop(tx);
        let of_ledger = ledger.iter().filter_map(|row| {
            let lock = row.lock.as_ref()?;
            let name = (row.key("holdfast/", site.source.id), lock.version_id.clone());
            Some((name, lock.locked_until))
        });
        let of_spares = spares
            .into_iter()
            .map(|spare| ((spare.key, spare.version_id), spare.locked_until));
        let bucket: BTreeMap<_, _> = of_ledger.chain(of_spares).collect();
        Self {
            now: stack.clock.now(),
            known: bucket.keys().cloned().collect(),
            ledger,
            snapshots,
            bucket,
        }
    }

    /// The earliest lock, as the bucket itself shows it, of what a snapshot needs. Panics when something of it is gone.
    pub fn lock_of(&self, site: &Site, seq: u64) -> Timestamp {
        self.lock_without(site, seq, &[])
    }

    /// The same, but for what the next run is asked to add again.
    pub fn lock_without(&self, site: &Site, seq: u64, added_again: &[ObjectHash]) -> Timestamp {
        let needed = self.ledger.iter().filter(|row| {
            row.born.is_some_and(|born| born <= seq)
                && row.dropped.is_none_or(|dropped| seq < dropped)
                && !added_again.contains(&row.object.hash)
        });
        let locks = needed.map(|row| {
            let version = row.lock.as_ref().unwrap().version_id.clone();
            let name = (row.key("holdfast/", site.source.id), version);
            *self
                .bucket
                .get(&name)
                .unwrap_or_else(|| panic!("snapshot {seq} needs {name:?}, and it is gone"))
        });
        locks.min().expect("a snapshot needs something")
    }

    pub fn newest(&self) -> &Snapshot {
        let complete = |snapshot: &&Snapshot| snapshot.state == SnapshotState::Complete;
        self.snapshots.iter().rfind(complete).unwrap()
    }

    /// P1: every complete snapshot is locked until the date that it shows. P4: the bucket holds what the server knows and
    /// nothing else, and of that nothing that is neither needed nor locked.
    pub fn check(&self, site: &Site) {
        for snapshot in &self.snapshots {
            if snapshot.state == SnapshotState::Complete {
                let lock = self.lock_of(site, snapshot.seq);
                assert!(
                    lock >= snapshot.protected_until,
                    "{}: {lock} is before {}",
                    snapshot.seq,
                    snapshot.protected_until
                );
            }
        }
        assert_eq!(self.bucket.keys().cloned().collect::<BTreeSet<_>>(), self.known);
        for row in &self.ledger {
            let kept = self
                .snapshots
                .iter()
                .filter(|snapshot| snapshot.state == SnapshotState::Complete);
            let needed = kept.into_iter().any(|snapshot| {
                row.born.is_some_and(|born| born <= snapshot.seq)
                    && row.dropped.is_none_or(|dropped| snapshot.seq < dropped)
            });
            let lock = row.lock.as_ref().unwrap().locked_until;
            assert!(
                needed || lock >= self.now - days(1),
                "{row:?} is neither needed nor locked"
            );
        }
    }
}

/// The sums over all sweeps of a site, and the newest report.
pub async fn reports(stack: &Stack, site: &Site) -> (SweepReport, SweepReport) {
    let tx = stack.tx(site).await;
    let sweeps = db::sweeps::of_source(&tx, site.source.id).await.unwrap();
    let mut sum = SweepReport::default();
    for sweep in &sweeps {
        sum.refreshed += sweep.report.refreshed;
        sum.copied += sweep.report.copied;
        sum.add_again += sweep.report.add_again;
        sum.promoted += sweep.report.promoted;
        sum.expired += sweep.report.expired;
        sum.deleted_versions += sweep.report.deleted_versions;
        sum.deleted_bytes += sweep.report.deleted_bytes;
        sum.refused.extend(sweep.report.refused.clone());
    }
    (sum, sweeps[0].report.clone())
}

/// A year of weekly backups and 30 days of retention, with a monthly tier: after each run and in the middle of each week every
/// promise is compared with what the bucket itself shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_of_weekly_backups() {
    let stack = Stack::start().await;
    let options = PolicyOptions {
        tiers: vec![Tier {
            every: Period::Month,
            retention_days: 60,
        }],
        keep_last: 2,
        lock_ahead: LockAhead::Days(10),
        ..PolicyOptions::default()
    };
    let site = stack
        .site_with("acme", weekly(), LockMode::Compliance, options)
        .await;
    fs::write(site.data.join("stays"), noise(0, 10_000)).unwrap();
    let (mut largest, mut renewed) = (0, false);
    for week in 1..=52 {
        let due = weekly().next_after(stack.clock.now()).unwrap().unwrap();
        stack
            .advance(due.duration_since(stack.clock.now()) + SignedDuration::from_mins(1))
            .await;
        fs::write(site.data.join("changes"), noise(week, 1_000)).unwrap();
        site.backup().await.unwrap();
        stack.settle().await;
        for pause in [days(0), SignedDuration::from_hours(84)] {
            stack.advance(pause).await;
            let before = Ground::of_ledger(&stack, &site).await;
            for kept in before.snapshots.iter().rev().take(2) {
                // P3, at every moment: also before the sweep that is due now.
                assert!(before.lock_of(&site, kept.seq) >= before.now + N - days(4));
            }
            stack.settle().await;
            let ground = if pause == days(0) {
                Ground::of_ledger(&stack, &site).await
            } else {
                Ground::of(&stack, &site).await
            };
            ground.check(&site);
            let newest = ground.newest();
            assert_eq!(newest.seq, u64::from(week));
            // P2: the upcoming run is covered before it begins, or will add again what is worn.
            let due = weekly().next_after(newest.received_at).unwrap().unwrap();
            let tx = stack.tx(&site).await;
            let added_again = db::ledger::not_reused(&tx, site.source.id).await.unwrap();
            drop(tx);
            let lock = ground.lock_without(&site, newest.seq, &added_again);
            assert!(lock >= due + GRACE + N, "week {week}: {lock}, due {due}");
            renewed |= !added_again.is_empty();
            largest = largest.max(ground.bucket.len());
        }
    }
    let ground = Ground::of(&stack, &site).await;
    let kept = ground
        .snapshots
        .iter()
        .filter(|snapshot| snapshot.state == SnapshotState::Complete);
    // Five weeks, and the first ones of the last months.
    assert!((5..=8).contains(&kept.count()));
    let (sum, last) = reports(&stack, &site).await;
    assert_eq!(sum.refused, [] as [String; 0]);
    assert!(sum.refreshed > 0 && sum.deleted_versions > 150, "{sum:?}");
    assert!((11..=13).contains(&sum.promoted), "{sum:?}");
    assert!(sum.expired >= 44, "{sum:?}");
    assert!(!last.awaiting.is_empty() && largest < 80, "{last:?} {largest}");
    // The first pack holds what stays, and what has changed long since.
    assert!(renewed, "{sum:?}");
    // Nothing was ever hidden behind a delete marker.
    let listed = stack
        .root()
        .list_object_versions()
        .bucket(&site.set.bucket)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.delete_markers().len(), 0);
    // The oldest snapshot that is left still restores.
    let oldest = ground
        .snapshots
        .iter()
        .find(|snapshot| snapshot.state == SnapshotState::Complete);
    let oldest = oldest.unwrap();
    site.authorise(&stack.operator, oldest.id).await;
    let target = stack.folder.path().join("restored");
    site.restore(oldest.id, &target).await.unwrap();
    let restored = target.join(site.data.strip_prefix("/").unwrap());
    let week = u32::try_from(oldest.seq).unwrap();
    assert_eq!(fs::read(restored.join("changes")).unwrap(), noise(week, 1_000));
    assert_eq!(fs::read(restored.join("stays")).unwrap(), noise(0, 10_000));
    // An expired one is not offered.
    let path = format!(
        "/tenants/{}/snapshots/{}/restores",
        site.tenant, ground.snapshots[0].id
    );
    let refused = stack
        .operator
        .post::<serde_json::Value>(&path, &serde_json::json!({}))
        .await
        .unwrap_err();
    assert_eq!(refused.code, "expired");
}

/// P3: an agent that says nothing for a year loses neither of the snapshots that are kept last, and nothing else is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_agents_newest_snapshots_never_lapse() {
    let stack = Stack::start().await;
    let options = PolicyOptions {
        keep_last: 2,
        lock_ahead: LockAhead::Days(30),
        ..PolicyOptions::default()
    };
    let site = stack
        .site_with("acme", weekly(), LockMode::Compliance, options)
        .await;
    for version in 0..3 {
        fs::write(site.data.join("file"), noise(version, 5_000)).unwrap();
        site.backup().await.unwrap();
    }
    stack.settle().await;
    for _ in 0..73 {
        stack.advance(days(5)).await;
        let before = Ground::of_ledger(&stack, &site).await;
        assert!(before.lock_of(&site, 2) >= before.now + N - days(6));
        assert!(before.lock_of(&site, 3) > before.now + GRACE);
        stack.settle().await;
        let ground = Ground::of(&stack, &site).await;
        ground.check(&site);
        let sweep = ground.now - SignedDuration::from_mins(1);
        // What only the newest needs may wait for the next run to add it again, as long as one run may fail to come.
        assert!(ground.lock_of(&site, 3) >= sweep + GRACE + days(7));
        assert!(ground.lock_of(&site, 2) >= sweep + N);
    }
    let ground = Ground::of(&stack, &site).await;
    let states: Vec<_> = ground.snapshots.iter().map(|snapshot| snapshot.state).collect();
    let complete = SnapshotState::Complete;
    assert_eq!(states, [SnapshotState::Expired, complete, complete]);
    assert!(ground.ledger.iter().all(|row| row.dropped != Some(2)));
    let (sum, _) = reports(&stack, &site).await;
    assert_eq!(sum.refused, [] as [String; 0]);
    // Q is 30 days: each object is touched about once in so many days, not at each of 73 sweeps.
    let rows = ground.ledger.len() as u64;
    assert!((10 * rows..=15 * rows).contains(&sum.refreshed), "{rows} {sum:?}");
    // It comes back as if nothing had been, and restores.
    fs::write(site.data.join("new"), "new").unwrap();
    assert_eq!(site.backup().await.unwrap().seq, 4);
}

/// The longer date of a tier is shown when S3 has confirmed it for everything below, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiers_date_is_shown_when_it_is_confirmed() {
    let stack = Stack::start().await;
    let options = PolicyOptions {
        tiers: vec![Tier {
            every: Period::Week,
            retention_days: 90,
        }],
        ..PolicyOptions::default()
    };
    let site = stack
        .site_with("acme", Schedule::manual(), LockMode::Governance, options)
        .await;
    fs::write(site.data.join("file"), noise(0, 5_000)).unwrap();
    let first = site.backup().await.unwrap();
    // The snapshot is complete with N, whether or not the sweep behind it has been there.
    let complete = first.protected_until.duration_since(first.received_at);
    assert!(complete < N + SignedDuration::from_secs(1) || complete >= days(90));
    stack.settle().await;
    let page = |id| {
        let path = format!("/tenants/{}/snapshots/{id}", site.tenant);
        let operator = stack.operator.clone();
        async move { operator.get::<SnapshotPage>(&path).await.unwrap() }
    };
    let shown = page(first.id).await;
    assert!(shown.snapshot.protected_until >= first.received_at + days(90));
    assert!(shown.earliest_lock.unwrap() >= shown.snapshot.protected_until);
    assert_eq!(shown.snapshot.tiers, [Period::Week]);

    // The second of the week has no tier. It is given one behind the server's back, and loses a pack to a bypass.
    fs::write(site.data.join("second"), noise(1, 5_000)).unwrap();
    let second = site.backup().await.unwrap();
    stack.settle().await;
    assert_eq!(page(second.id).await.snapshot.tiers, []);
    let ground = Ground::of(&stack, &site).await;
    let own = ground
        .ledger
        .iter()
        .find(|row| row.born == Some(2) && row.dropped.is_none());
    let own = own.unwrap();
    let delete = stack
        .root()
        .delete_object()
        .bucket(&site.set.bucket)
        .key(own.key("holdfast/", site.source.id))
        .version_id(&own.lock.as_ref().unwrap().version_id);
    delete.bypass_governance_retention(true).send().await.unwrap();
    stack
        .owner
        .execute_unprepared(&format!(
            r#"UPDATE snapshots SET tiers = '["week"]' WHERE seq = 2;
               UPDATE objects SET locked_until = '{}' WHERE born = 2"#,
            stack.clock.now() + days(40)
        ))
        .await
        .unwrap();
    stack.sweep().await;
    let after = page(second.id).await.snapshot;
    assert_eq!(after.protected_until, second.protected_until);
    let (_, last) = reports(&stack, &site).await;
    assert!(
        last.refreshed > 0,
        "the others were extended all the same: {last:?}"
    );
    // That it is gone is believed after some minutes, and told by the sweep that finds it so.
    stack.live_through(SignedDuration::from_mins(5)).await;
    let told = "SELECT 1 FROM sweeps WHERE report::text LIKE '%gone from the bucket%'";
    assert!(!stack.query(told).await.is_empty());
    let after = page(second.id).await.snapshot;
    assert_eq!(after.protected_until, second.protected_until);
    assert_eq!(after.damage.map(|damage| damage.objects), Some(1));
}

/// The first of a period takes the tier whether or not it is clean, a clean one takes it once more, and then nobody does. A socket in
/// the tree is a note, and does not make a snapshot unclean.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_is_taken_once_a_period_and_once_more_by_a_clean_snapshot() {
    let stack = Stack::start().await;
    let options = PolicyOptions {
        tiers: vec![Tier {
            every: Period::Year,
            retention_days: 90,
        }],
        lock_ahead: LockAhead::Days(10),
        ..PolicyOptions::default()
    };
    let site = stack
        .site_with("acme", Schedule::manual(), LockMode::Compliance, options)
        .await;
    let _socket = std::os::unix::net::UnixListener::bind(site.data.join("socket")).unwrap();
    let mut taken = Vec::new();
    let mut first_refreshed = None;
    for seq in 1..=4u32 {
        fs::write(site.data.join("file"), noise(seq, 5_000)).unwrap();
        let snapshot = site.backup().await.unwrap();
        stack.settle().await;
        assert_eq!((snapshot.totals.warnings, snapshot.totals.notes), (0, 1));
        let tx = stack.tx(&site).await;
        let row = db::snapshots::find(&tx, snapshot.id).await.unwrap().unwrap();
        drop(tx);
        assert!(row.clean && row.sound);
        taken.push(row.tiers);
        if seq == 1 {
            // What a run sends that will take a tier is locked for it at once.
            first_refreshed = Some(reports(&stack, &site).await.0.refreshed);
            stack
                .owner
                .execute_unprepared("UPDATE snapshots SET clean = false WHERE seq = 1")
                .await
                .unwrap();
        }
    }
    assert_eq!(taken, [vec![Period::Year], vec![Period::Year], vec![], vec![]]);
    assert_eq!(first_refreshed, Some(0));
    let ground = Ground::of(&stack, &site).await;
    ground.check(&site);
    for carrier in ground.snapshots.iter().take(2) {
        assert!(carrier.protected_until >= carrier.received_at + days(90));
    }
}

/// A provider that cannot extend: the sealed bytes are put again, and the old version goes when its lock ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_extended_is_put_again() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let provider = serde_json::to_string(&shared::retention::Provider {
        can_extend: false,
        ..shared::retention::Provider::AWS_STANDARD
    });
    let sql = format!("UPDATE storage_accounts SET provider = '{}'", provider.unwrap());
    stack.owner.execute_unprepared(&sql).await.unwrap();
    fs::write(site.data.join("file"), noise(0, 5_000)).unwrap();
    let snapshot = site.backup().await.unwrap();
    stack.settle().await;
    let before = Ground::of(&stack, &site).await;
    stack.advance(days(20)).await;
    stack.settle().await;
    let ground = Ground::of(&stack, &site).await;
    ground.check(&site);
    assert!(ground.lock_of(&site, 1) >= ground.now + GRACE + N);
    assert_eq!(ground.bucket.len(), 2 * before.bucket.len());
    let (sum, last) = reports(&stack, &site).await;
    assert_eq!((sum.copied, sum.refreshed), (before.bucket.len() as u64, 0));
    assert_eq!(last.refused, [] as [String; 0]);
    // The old versions are gone when their locks have ended, and the newest still restores.
    stack.advance(days(31)).await;
    stack.settle().await;
    let ground = Ground::of(&stack, &site).await;
    ground.check(&site);
    assert!(before.bucket.keys().all(|old| !ground.bucket.contains_key(old)));
    site.authorise(&stack.operator, snapshot.id).await;
    let target = stack.folder.path().join("restored");
    site.restore(snapshot.id, &target).await.unwrap();
    let restored = target.join(site.data.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored.join("file")).unwrap(), noise(0, 5_000));
}
