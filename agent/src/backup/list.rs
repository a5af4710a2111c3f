//! The object list of a run: what becomes of the parent's, and which pages are written.

use std::collections::HashSet;

use repository::object_list::{self, Delta, ListPlan, ObjectList};
use shared::object::{ObjectHash, ObjectRef};

use super::error::BackupError;
use crate::cache::CacheRun;

/// Plans the list of the snapshot after `parent_seq`, which needs `now` where its parent needed `before`.
///
/// A list that has lost a page (it is among those not to be reused) begins afresh.
pub(super) fn plan_list(
    run: &CacheRun,
    (parent, parent_seq): (&ObjectList, u64),
    before: &HashSet<ObjectRef>,
    now: &[ObjectRef],
    unwanted: &HashSet<&ObjectHash>,
) -> Result<ListPlan, BackupError> {
    let seq = parent_seq + 1;
    if parent.pages().any(|page| unwanted.contains(&page.hash)) {
        return Ok(object_list::plan_afresh(parent, seq, now)?);
    }
    let after: HashSet<&ObjectRef> = now.iter().collect();
    let change = Delta::new(
        now.iter()
            .filter(|object| !before.contains(object))
            .copied()
            .collect(),
        before
            .iter()
            .filter(|object| !after.contains(object))
            .map(|object| object.hash)
            .collect(),
    )?;
    Ok(object_list::plan(parent, seq, change, now, |page| {
        run.list_page(&page.hash).unwrap_or_else(|error| {
            tracing::warn!(%error, "a page of the object list is not in the cache; the list begins afresh");
            None
        })
    })?)
}

/// Keeps what the next plan needs: the list, and the pages that it may merge.
pub(super) fn remember(run: &CacheRun, plan: &ListPlan) -> Result<(), BackupError> {
    for page in &plan.dropped {
        run.remove_list_page(page)?;
    }
    if !plan.is_afresh() {
        for (page, bytes) in &plan.write {
            run.add_list_page(&page.hash, bytes)?;
        }
    }
    Ok(run.set_list(&plan.list)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use repository::object_list::Replay;
    use shared::object::ObjectKind;

    use super::*;
    use crate::cache::Cache;

    fn object(number: usize) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::Pack,
            hash: repository::hash(&number.to_be_bytes()),
            size_bytes: 1 + number as u64,
        }
    }

    /// Runs come and go, and the cache has each page that a plan wants to merge: the large first layer is written once.
    #[test]
    fn the_cache_keeps_the_pages_that_plans_merge() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let mut bucket = HashMap::new();
        let mut before: HashSet<ObjectRef> = HashSet::new();
        let mut written = Vec::new();
        for seq in 0..40 {
            let run = cache.begin().unwrap();
            let parent = run.list().unwrap().unwrap_or_default();
            // 60 go and 60 come, beside the 20,000 of the first run.
            let now: Vec<ObjectRef> = (seq * 60..seq * 60 + 20_000).map(object).collect();
            let plan = plan_list(&run, (&parent, seq as u64), &before, &now, &HashSet::new()).unwrap();
            written.push(plan.write.iter().map(|(page, _)| page.size_bytes).sum::<u64>());
            bucket.extend(plan.write.iter().map(|(page, bytes)| (page.hash, bytes.clone())));
            remember(&run, &plan).unwrap();
            run.commit().unwrap();
            before = now.into_iter().collect();
        }
        assert!(
            written[1..].iter().all(|bytes| bytes * 4 < written[0]),
            "{written:?}"
        );

        let run = cache.begin().unwrap();
        let list = run.list().unwrap().unwrap();
        let mut replay = Replay::new(&list);
        list.pages()
            .for_each(|page| replay.page(&bucket[&page.hash]).unwrap());
        let root = object_list::root(before.iter().chain(list.pages()));
        assert_eq!(replay.finish(&root).unwrap().len(), 20_000 + list.pages().count());

        // A page that the bucket has lost: the list is written anew, without it.
        let lost = list.pages().next().unwrap().hash;
        let now: Vec<ObjectRef> = before.iter().copied().collect();
        let plan = plan_list(&run, (&list, 40), &before, &now, &HashSet::from([&lost])).unwrap();
        assert!(plan.dropped.contains(&lost));
        assert!(plan.list.pages().all(|page| page.hash != lost));
    }
}
