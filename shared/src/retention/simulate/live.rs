//! What the newest snapshot needs, in groups.

use super::calendar::Secs;

/// Objects that are alike: one lock, one size, as many live pieces, and born together where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub lock: Secs,
    /// Pieces.
    pub size: u32,
    /// Pieces that the newest snapshot still uses.
    pub live: u32,
    /// When they were committed; 0 where nobody asks.
    pub born: Secs,
    /// How many.
    pub count: u64,
}

impl Group {
    fn key(&self) -> (Secs, u32, u32, Secs) {
        (self.lock, self.size, self.live, self.born)
    }

    pub fn pieces(&self) -> u64 {
        self.count * u64::from(self.size)
    }
}

/// The groups, by lock, size, live pieces and birth, ascending; none is empty, no two have the same.
#[derive(Debug, Default)]
pub(super) struct Live {
    groups: Vec<Group>,
    pub objects: u64,
    /// Pieces in use.
    pub live: u64,
    /// Pieces, in use or not.
    pub pieces: u64,
}

impl Live {
    /// The earliest lock.
    pub fn first_lock(&self) -> Option<Secs> {
        self.groups.first().map(|group| group.lock)
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn insert(&mut self, group: Group) {
        if group.count == 0 {
            return;
        }
        self.objects += group.count;
        self.live += group.count * u64::from(group.live);
        self.pieces += group.pieces();
        match self.groups.binary_search_by_key(&group.key(), Group::key) {
            Ok(at) => self.groups[at].count += group.count,
            Err(at) => self.groups.insert(at, group),
        }
    }

    /// Takes out whatever is locked until before `need` and satisfies `which`.
    pub fn take_short(&mut self, need: Secs, mut which: impl FnMut(&Group) -> bool) -> Vec<Group> {
        let short = self.groups.partition_point(|group| group.lock < need);
        let mut taken = Vec::new();
        let mut kept = Vec::new();
        for group in &self.groups[..short] {
            if which(group) {
                self.objects -= group.count;
                self.live -= group.count * u64::from(group.live);
                self.pieces -= group.pieces();
                taken.push(*group);
            } else {
                kept.push(*group);
            }
        }
        if !taken.is_empty() {
            self.groups.splice(..short, kept);
        }
        taken
    }

    /// Lets `deaths` pieces die, spread evenly over all that live: piece p of P, in the order of the groups, is one of them when
    /// ⌊(p+1)·d/P⌋ > ⌊p·d/P⌋. Within a group they are spread evenly over its objects. Gives what lost its last piece.
    pub fn kill(&mut self, deaths: u64) -> Vec<Group> {
        let total = self.live;
        let deaths = deaths.min(total);
        if deaths == 0 {
            return Vec::new();
        }
        let mut dropped = Vec::new();
        let mut worn = Vec::new();
        let (mut passed, mut dead) = (0u64, 0u64);
        // The piece count up to which no further one dies: spares a division for each group that loses none.
        let mut next = total.div_ceil(deaths);
        for group in &mut self.groups {
            passed += group.count * u64::from(group.live);
            if passed < next {
                continue;
            }
            let upto = passed * deaths / total;
            let dying = upto - dead;
            dead = upto;
            next = ((dead + 1) * total).div_ceil(deaths);
            let (all_lose, lose_more) = (dying / group.count, dying % group.count);
            let was = *group;
            group.count = 0;
            for (lost, count) in [(all_lose, was.count - lose_more), (all_lose + 1, lose_more)] {
                let lost = u32::try_from(lost).unwrap_or(u32::MAX);
                if lost == 0 {
                    group.count = count;
                } else if lost >= was.live {
                    dropped.push(Group { count, ..was });
                } else {
                    let live = was.live - lost;
                    worn.push(Group { live, count, ..was });
                }
            }
        }
        dropped.retain(|group| group.count > 0);
        self.live -= deaths;
        self.objects -= dropped.iter().map(|group| group.count).sum::<u64>();
        self.pieces -= dropped.iter().map(Group::pieces).sum::<u64>();
        if worn.is_empty() {
            self.groups.retain(|group| group.count > 0);
        } else {
            self.groups.append(&mut worn);
            self.merge();
        }
        dropped
    }

    fn merge(&mut self) {
        self.groups.retain(|group| group.count > 0);
        self.groups.sort_unstable();
        self.groups.dedup_by(|later, earlier| {
            let same = later.key() == earlier.key();
            if same {
                earlier.count += later.count;
            }
            same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(groups: &[(Secs, u32, u64)]) -> Live {
        let mut live = Live::default();
        for &(lock, pieces, count) in groups {
            live.insert(Group {
                lock,
                size: 4,
                live: pieces,
                born: 0,
                count,
            });
        }
        live
    }

    #[test]
    fn deaths_are_spread_and_counted() {
        for deaths in 0..=70 {
            let mut live = live(&[(1, 4, 7), (2, 3, 5), (2, 1, 4), (9, 4, 1), (9, 2, 10)]);
            let before = live.live;
            let objects = live.objects;
            let dropped: u64 = live.kill(deaths).iter().map(|group| group.count).sum();
            assert_eq!(live.live, before - deaths.min(before));
            let left: u64 = live.groups.iter().map(|g| g.count * u64::from(g.live)).sum();
            assert_eq!(left, live.live);
            assert_eq!(live.groups.iter().map(|g| g.count).sum::<u64>(), live.objects);
            assert_eq!(objects - dropped, live.objects);
            assert!(live.groups.is_sorted() && live.groups.iter().all(|g| g.count > 0));
        }
    }

    #[test]
    fn what_falls_short_is_taken_by_lock() {
        let mut live = live(&[(1, 4, 7), (2, 3, 5), (9, 4, 1)]);
        let taken = live.take_short(9, |group| group.live == 4);
        assert_eq!(taken.len(), 1);
        assert_eq!(live.first_lock(), Some(2));
        assert_eq!((live.objects, live.live), (6, 19));
    }
}
