//! A large source: what a commit costs grows with what it changes, not with what is there.

mod listing;

use std::{collections::HashMap, fmt, io::Write, time::Duration};

use agent::{keygen::read_kit, state::State};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use holdfast_server::s3;
use lockbox::faults::{Action, On, Rule};
use repository::{
    chunk::SourceSecret,
    layout,
    manifest::{ManifestContent, ManifestParent, NewManifest},
    object_list::{self, Delta, ObjectList},
};
use sea_orm::ConnectionTrait;
use shared::{
    api::{
        agent::{
            BackupWork, CommitRequest, RunState, RunStatus, SnapshotTotals, UploadRequest, UploadTicket,
            UploadsRequest,
        },
        commit::{CommitPage, PageTotals, pages},
    },
    ids::RunId,
    limits::Limit,
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{LockMode, ObjectState},
    schedule::Schedule,
};

use self::listing::ListedPacks;
use crate::{
    HEAP,
    support::{Site, Stack, versions},
};

/// What one commit took.
struct Cost {
    time: Duration,
    heap_bytes: usize,
    /// Whether the server had kept what the set before came to.
    was_kept: bool,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.was_kept { "" } else { ", nothing kept" };
        write!(
            f,
            "{:.2?}, {:.1} MiB{kept}",
            self.time,
            self.heap_bytes as f64 / f64::from(1 << 20)
        )
    }
}

/// A source whose packs stand in the ledger and in listings only, as confirmed just now. Their contents are nowhere.
struct Large<'a> {
    stack: &'a Stack,
    site: &'a Site,
    now: Vec<ObjectRef>,
    /// What the ledger has and the newest list does not.
    unlisted: Vec<ObjectRef>,
    list: ObjectList,
    list_pages: HashMap<ObjectHash, Vec<u8>>,
    listed: ListedPacks,
    /// What the next run names as added again.
    again: Vec<ObjectRef>,
    /// What the last run would have left, when it failed.
    failed: Option<(Vec<ObjectRef>, ObjectList)>,
    made: u32,
}

impl<'a> Large<'a> {
    async fn new(stack: &'a Stack, site: &'a Site) -> Self {
        // The sweep that follows a commit is another's affair.
        let hold = "CREATE FUNCTION hold_sweep() RETURNS trigger LANGUAGE plpgsql AS
                        'BEGIN NEW.run_at := ''2100-01-01''; RETURN NEW; END';
                    CREATE TRIGGER hold_sweeps BEFORE INSERT OR UPDATE ON jobs FOR EACH ROW
                        WHEN (NEW.kind = 'sweep') EXECUTE FUNCTION hold_sweep()";
        stack.change(hold).await;
        Self {
            stack,
            site,
            now: Vec::new(),
            unlisted: Vec::new(),
            list: ObjectList::default(),
            list_pages: HashMap::new(),
            listed: ListedPacks::answer_for(stack.lockbox.faults()),
            again: Vec::new(),
            failed: None,
            made: 0,
        }
    }

    fn make(&mut self, count: usize) -> Vec<ObjectRef> {
        (0..count)
            .map(|_| {
                self.made += 1;
                ObjectRef {
                    kind: ObjectKind::Pack,
                    hash: repository::hash(&self.made.to_be_bytes()),
                    size_bytes: u64::from(self.made),
                }
            })
            .collect()
    }

    /// Writes rows into the ledger: pending ones of this run, or such that are needed since snapshot 1.
    async fn note_in_ledger(&self, run: RunId, objects: &[ObjectRef], state: ObjectState) {
        let (state, born) = match state {
            ObjectState::Live => ("live", "1"),
            _ => ("pending", "NULL"),
        };
        for part in objects.chunks(20_000) {
            let hashes: Vec<String> = part.iter().map(|object| object.hash.to_string()).collect();
            let sql = format!(
                "INSERT INTO objects (tenant_id, source_id, hash, kind, size_bytes, content_md5, state, run_id, signed_until,
                                      version_id, lock_mode, locked_until, confirmed_at, born)
                 SELECT '{}', '{}', decode(hash, 'hex'), 1, {} + number, substr(decode(hash, 'hex'), 1, 16), '{state}', '{}',
                        timestamptz '{now}' + interval '60 days', 'v' || number, 'governance',
                        timestamptz '{now}' + interval '60 days', '{now}', {born}
                 FROM unnest(string_to_array('{}', ',')) WITH ORDINALITY AS made(hash, number)",
                self.site.tenant.as_uuid(),
                self.site.source.id.as_uuid(),
                part[0].size_bytes - 1,
                run.as_uuid(),
                hashes.join(","),
                now = self.stack.clock.now(),
            );
            self.stack.owner.execute_unprepared(&sql).await.unwrap();
            // A million rows take minutes, in which the bucket's clock would fall behind.
            self.stack.bucket_clock.set(self.stack.clock.system_time());
            for (object, number) in part.iter().zip(1..) {
                let key = layout::object_key("holdfast/", self.site.source.id, object.kind, &object.hash);
                self.listed.add(key, format!("v{number}"), object.size_bytes);
            }
        }
    }

    /// So many more that snapshot 1 needs, by the ledger: the quick way to a source of a million.
    async fn grow(&mut self, run: RunId, count: usize) {
        let grown = self.make(count);
        self.note_in_ledger(run, &grown, ObjectState::Live).await;
        self.now.extend_from_slice(&grown);
        self.unlisted = grown;
    }

    /// The last run failed with its number given: what it lists is what the next one builds on.
    fn keep_failed(&mut self) {
        (self.now, self.list) = self.failed.take().unwrap();
    }

    /// An agent that has lost its cache is told what the newest snapshot needs, in parts.
    async fn is_told_what_it_needs(&self, seq: u64) {
        let mut told: Vec<ObjectRef> = Vec::new();
        loop {
            let after = told.last().map(|object| object.hash);
            let client = self.site.client();
            let part = client
                .source_objects(self.site.source.id, seq, after)
                .await
                .unwrap();
            assert!(part.len() <= Limit::ObjectsPerAnswer.max());
            if part.is_empty() {
                break;
            }
            told.extend(part);
        }
        let mut needed: Vec<ObjectRef> = self.now.iter().chain(self.list.pages()).copied().collect();
        needed.sort_unstable_by_key(object_list::sort_key);
        assert!(told == needed, "{} told, {} needed", told.len(), needed.len());
        let of_older = self
            .site
            .client()
            .source_objects(self.site.source.id, seq - 1, None)
            .await;
        assert!(of_older.unwrap_err().to_string().contains("not the newest"));
    }

    async fn put(&self, work: &BackupWork, object: ObjectRef, bytes: &[u8]) {
        let upload = UploadRequest {
            object,
            content_md5: BASE64.encode(s3::content_md5(bytes)),
        };
        let request = UploadsRequest {
            objects: vec![upload],
        };
        let tickets = self.site.client().uploads(work.run_id, &request).await.unwrap();
        let UploadTicket::Put { url, headers, .. } = &tickets[0] else {
            panic!("{tickets:?}")
        };
        let put = headers
            .iter()
            .fold(reqwest::Client::new().put(url), |put, (name, value)| {
                put.header(name, value)
            });
        let answer = put.body(bytes.to_vec()).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    /// A run that adds and drops so many. Of what was added it tells the server all but the last `hidden`.
    async fn run(&mut self, added: usize, dropped: usize, hidden: usize) -> (RunStatus, Cost) {
        let before = (self.now.clone(), self.list.clone());
        let client = self.site.client();
        let work = client.start_run(self.site.source.id).await.unwrap();
        let seq = work.parent.as_ref().map_or(0, |parent| parent.seq) + 1;
        let mut new = self.make(added);
        self.note_in_ledger(work.run_id, &new, ObjectState::Pending).await;
        new.append(&mut self.again);
        let gone: Vec<ObjectHash> = self.now.drain(..dropped).map(|object| object.hash).collect();
        self.now.extend_from_slice(&new);
        let listed = new.iter().copied().chain(self.unlisted.drain(..)).collect();
        let change = Delta::new(listed, gone.clone()).unwrap();
        // As the agent does.
        let is_lost = |page: &ObjectRef| work.do_not_reuse.contains(&page.hash);
        let plan = if self.list.pages().any(is_lost) {
            object_list::plan_afresh(&self.list, seq, &self.now)
        } else {
            object_list::plan(&self.list, seq, change, &self.now, |page| {
                self.list_pages.get(&page.hash).cloned()
            })
        };
        let plan = plan.unwrap();
        for (page, bytes) in &plan.write {
            self.put(&work, *page, bytes).await;
        }
        let (manifest, bytes) = self.manifest(&work, &plan.list);
        self.put(&work, manifest, &bytes).await;
        let told = new.len() - hidden;
        let added = new
            .into_iter()
            .take(told)
            .chain(plan.write.iter().map(|(page, _)| *page))
            .collect();
        let dropped = gone.into_iter().chain(plan.dropped.iter().copied()).collect();
        self.list = plan.list;
        self.list_pages
            .extend(plan.write.into_iter().map(|(page, bytes)| (page.hash, bytes)));
        let change = pages(added, dropped, Vec::new());
        let (run, cost) = self.commit(&work, manifest, &change, seq).await;
        if run.state != RunState::Succeeded {
            self.failed = Some((
                std::mem::replace(&mut self.now, before.0),
                std::mem::replace(&mut self.list, before.1),
            ));
        }
        (run, cost)
    }

    fn manifest(&self, work: &BackupWork, list: &ObjectList) -> (ObjectRef, Vec<u8>) {
        let state = State::open(&self.site.state).unwrap();
        let manifest = NewManifest {
            agent_id: state.config().agent_id,
            source_id: self.site.source.id,
            run_id: work.run_id,
            parent: work.parent.as_ref().map(|parent| ManifestParent {
                seq: parent.seq,
                manifest: parent.manifest.hash,
            }),
            created_at: self.stack.clock.now(),
            totals: SnapshotTotals::default(),
            objects: self.now.clone(),
            list: list.clone(),
            certificate: None,
            content: ManifestContent::new(
                "files".into(),
                "host".into(),
                Vec::new(),
                SourceSecret::from_bytes([4; 32]).chunk_key(),
            ),
        };
        let kit = read_kit(&self.site.kit).unwrap().secret();
        manifest
            .seal(
                kit.public(),
                &state.signing_key().unwrap(),
                &mut agent::random::draw().unwrap(),
            )
            .unwrap()
    }

    async fn commit(
        &self,
        work: &BackupWork,
        manifest: ObjectRef,
        change: &[CommitPage],
        seq: u64,
    ) -> (RunStatus, Cost) {
        let client = self.site.client();
        let request = CommitRequest {
            paths: Vec::new(),
            parent_seq: seq - 1,
            manifest,
            totals: SnapshotTotals::default(),
            change: PageTotals::of_pages(change, repository::hash),
            counted_liveness: false,
            report: None,
        };
        let kept = self.kept_sum().await;
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let began = agent::clock::monotonic();
        for (number, page) in (0..).zip(change) {
            client.commit_page(work.run_id, number, page).await.unwrap();
        }
        client.commit(work.run_id, &request).await.unwrap();
        let run = self.ended(work).await;
        let time = began.elapsed();
        let heap_bytes = HEAP.peak_usage().saturating_sub(before);
        let cost = Cost {
            time,
            heap_bytes,
            was_kept: kept == Some(seq - 1),
        };
        (run, cost)
    }

    async fn ended(&self, work: &BackupWork) -> RunStatus {
        let client = self.site.client();
        for _ in 0..60_000 {
            let status = client.run(work.run_id).await.unwrap();
            if status.state.is_final() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the run did not end in 20 min");
    }

    /// Of which snapshot the server keeps what its set comes to.
    async fn kept_sum(&self) -> Option<u64> {
        let source = self.site.source.id.as_uuid();
        let rows = self
            .stack
            .query(&format!("SELECT seq FROM set_sums WHERE source_id = '{source}'"))
            .await;
        rows.first()
            .map(|row| u64::try_from(row.try_get::<i64>("", "seq").unwrap()).unwrap())
    }
}

/// How many objects the source has: a million when it is measured.
fn rows() -> usize {
    std::env::var("HOLDFAST_LARGE_ROWS").map_or(60_000, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_source_commits_in_little_memory() {
    let stack = Stack::start().await;
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    let mut source = Large::new(&stack, &site).await;
    let mut costs = Vec::new();
    let stale = "UPDATE set_sums SET seq = 1";
    let damaged = "UPDATE set_sums SET content = overlay(content PLACING sha256('x') FROM 1000)";
    // A change of several pages; then all is counted for the first time; the next counts what it changes. Then what is kept is
    // of another snapshot, then it is wrong: both times all of it is counted.
    for (added, dropped, before) in [
        (9_000, 0, "SELECT 1"),
        (100, 20, "SELECT 1"),
        (100, 20, "SELECT 1"),
        (100, 20, stale),
        (100, 20, damaged),
    ] {
        stack.owner.execute_unprepared(before).await.unwrap();
        let (run, cost) = source.run(added, dropped, 0).await;
        assert_eq!(run.state, RunState::Succeeded, "{:?}", run.error);
        if costs.is_empty() {
            source.grow(run.run_id, rows() - added).await;
        }
        costs.push(cost);
    }
    let shown: Vec<String> = costs.iter().map(Cost::to_string).collect();
    let told = format!("{} objects: {}", rows(), shown.join("; "));
    let _ = writeln!(std::io::stderr(), "{told}");
    assert!(
        costs
            .iter()
            .map(|cost| cost.was_kept)
            .eq([false, false, true, false, true]),
        "{told}"
    );
    assert!(costs.iter().all(|cost| cost.heap_bytes < 16 << 20), "{told}");
    assert_eq!(source.kept_sum().await, Some(5));

    source.is_told_what_it_needs(5).await;

    // The agent's list names an object that it does not tell the server of.
    let (refused, _) = source.run(100, 20, 1).await;
    assert_eq!(refused.state, RunState::Failed);
    let error = refused.error.unwrap();
    assert!(error.contains("what the manifest lists"), "{error}");
    assert_eq!(source.kept_sum().await, Some(5), "nothing of it stays");
}

/// However many objects are lost: the run fails with their number after the same few askings, and the next one builds on what is
/// left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_lost_objects_are_believed_together() {
    let stack = Stack::start().await;
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    let mut source = Large::new(&stack, &site).await;
    let (run, _) = source.run(5_000, 0, 0).await;
    assert_eq!(run.state, RunState::Succeeded, "{:?}", run.error);
    let lost = source.now[..4_100].to_vec();
    for object in &lost {
        let key = layout::object_key("holdfast/", site.source.id, object.kind, &object.hash);
        source.listed.lose(&key);
    }
    let (run, _) = stack.while_time_passes(source.run(10, 0, 0)).await;
    assert_eq!(run.state, RunState::Failed);
    let error = run.error.unwrap();
    assert!(
        error.contains("4,100 objects") && error.contains("gone"),
        "{error}"
    );
    let (run, _) = stack.while_time_passes(source.run(10, 4_100, 0)).await;
    assert_eq!(run.state, RunState::Succeeded, "{:?}", run.error);
}

/// What was dropped and is needed again is asked for like what was inherited, where a lock may have been taken away in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_asked_for() {
    let stack = Stack::start().await;
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    let mut source = Large::new(&stack, &site).await;
    for (added, dropped) in [(300, 0), (10, 20)] {
        let (run, _) = source.run(added, dropped, 0).await;
        assert_eq!(run.state, RunState::Succeeded, "{:?}", run.error);
    }
    let dropped = "SELECT hash FROM objects WHERE kind = 1 AND dropped = 2 LIMIT 1";
    let hash: Vec<u8> = stack.query(dropped).await[0].try_get("", "hash").unwrap();
    let hash = ObjectHash::from_bytes(hash.try_into().unwrap());
    source.again = (1..=300_u32)
        .map(|made| ObjectRef {
            kind: ObjectKind::Pack,
            hash: repository::hash(&made.to_be_bytes()),
            size_bytes: made.into(),
        })
        .filter(|object| object.hash == hash)
        .collect();
    let aged = stack.clock.now() - jiff::SignedDuration::from_hours(48);
    let aged = format!("UPDATE objects SET confirmed_at = '{aged}' WHERE dropped = 2");
    stack.change(&aged).await;
    // It is listed here, and nothing gives it.
    let (run, _) = stack.while_time_passes(source.run(10, 0, 0)).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.error.unwrap().contains("1 object"));
}

/// Deletes every list page, past its lock.
async fn lose_list_pages(stack: &Stack, site: &Site) {
    let root = stack.root();
    let all = versions(&root, &site.set.bucket).await;
    let pages: Vec<_> = all.iter().filter(|(key, _)| key.contains("/lists/")).collect();
    assert!(!pages.is_empty());
    for (key, version) in pages {
        let delete = root.delete_object().bucket(&site.set.bucket).key(key);
        let delete = delete.version_id(version).bypass_governance_retention(true);
        delete.send().await.unwrap();
    }
}

/// The pages of the object list are lost at each of four moments, like the other kinds in `presence`. Whatever comes of that run, the
/// next one writes the list anew, and the newest complete snapshot has lost nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_list_page_is_not_built_on() {
    let stack = Stack::start().await;
    let site = stack
        .site_in("acme", Schedule::manual(), LockMode::Governance)
        .await;
    let mut source = Large::new(&stack, &site).await;
    let (run, _) = source.run(300, 0, 0).await;
    assert_eq!(run.state, RunState::Succeeded, "{:?}", run.error);
    let slow = Action::delay(Duration::from_secs(3));
    let refused = Action::status(503, "SlowDown");
    for (moment, on, action, hits) in [
        ("before the run", None, Action::Count, 0),
        (
            "while it uploads",
            Some(On::operation("PutObject").key("*/manifests/*")),
            slow,
            1,
        ),
        (
            "after the commit",
            Some(On::operation("GetObject").key("*/manifests/*")),
            Action::Stall,
            1,
        ),
        (
            "after the number",
            Some(On::operation("PutObject").key("*/commits/*")),
            refused,
            3,
        ),
    ] {
        let placed = on.map(|on| stack.lockbox.faults().add(Rule::new(on, action)));
        let lose = async {
            while placed.as_ref().is_some_and(|placed| placed.hits() < hits) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            lose_list_pages(&stack, &site).await;
            if let Some(placed) = &placed {
                placed.remove();
            }
        };
        let before = source.list.clone();
        let mut states = Vec::new();
        if placed.is_none() {
            lose.await;
            let (run, _) = stack.while_time_passes(source.run(10, 0, 0)).await;
            states.push((run.state, run.error));
        } else {
            let ((run, _), ()) = tokio::join!(stack.while_time_passes(source.run(10, 0, 0)), lose);
            states.push((run.state, run.error));
        }
        assert_eq!(states[0].0, RunState::Failed, "{moment}: {states:?}");
        assert!(
            states[0].1.as_ref().unwrap().contains("gone from the bucket"),
            "{moment}: {states:?}"
        );
        let broken = "SELECT 1 FROM snapshots WHERE state = 'broken'";
        if moment == "after the number" {
            assert_eq!(stack.query(broken).await.len(), 1);
            // It has its number: the next run builds on what it lists.
            source.keep_failed();
        } else {
            assert!(stack.query(broken).await.is_empty());
            assert_eq!(source.list, before);
        }
        let (run, _) = stack.while_time_passes(source.run(10, 0, 0)).await;
        assert_eq!(run.state, RunState::Succeeded, "{moment}: {:?}", run.error);
        let lost = "SELECT 1 FROM objects o JOIN snapshots s ON s.source_id = o.source_id
                    WHERE s.seq = (SELECT max(seq) FROM snapshots WHERE state = 'complete') AND o.missing_since IS NOT NULL
                      AND o.born <= s.seq AND (o.dropped IS NULL OR o.dropped > s.seq)";
        assert!(stack.query(lost).await.is_empty(), "{moment}");
        assert!(source.list.pages().next().is_some(), "{moment}");
    }
}
