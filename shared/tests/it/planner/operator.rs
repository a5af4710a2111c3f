//! What people, clocks and providers do to a world.

use jiff::SignedDuration;
use shared::retention::{ObjectState, Soundness, TierCandidate, assign_tiers};

use super::{
    runs,
    support::hours,
    world::{World, random_policy},
};

/// Now and then, one of many things.
pub fn meddle(world: &mut World) {
    if !world.random.percent(12) {
        return;
    }
    let at = world.random.place(world.sources.len());
    let snapshots = world.sources[at].snapshots.len();
    match world.random.below(100) {
        0..15 => {
            world.policy = random_policy(&mut world.random);
            let policy = world.policy.clone();
            world.note(|| format!("policy: {policy:?}"));
        }
        15..25 => {
            // Raised or lowered, the rest as it was.
            world.policy.retention_days = world.random.pick(&[1, 2, 5, 10, 40]);
            world.policy.keep_last = world.random.days(1, 4);
            let (days, keep_last) = (world.policy.retention_days, world.policy.keep_last);
            world.note(|| format!("policy: N = {days}, keep_last = {keep_last}"));
        }
        25..40 if snapshots > 0 => {
            let place = world.random.place(snapshots);
            let snapshot = &mut world.sources[at].snapshots[place];
            snapshot.pinned = !snapshot.pinned && !snapshot.expired;
            let (seq, pinned) = (snapshot.seq, snapshot.pinned);
            world.note(|| format!("source {at}: {seq} pinned: {pinned}"));
        }
        40..45 | 73..80 => judge(world, at),
        45..55 => {
            let until = world.now() + hours(world.random.between(10, 24 * 400));
            world.sources[at].silent_until = Some(until);
            world.note(|| format!("source {at}: silent until {until}"));
        }
        55..65 => world.sources[at].silent_until = None,
        65..73 => {
            // The server's clock is set, forwards or a little back.
            let seconds = i64::try_from(world.random.below(600)).unwrap() - 300;
            world.skew = SignedDuration::from_secs(seconds);
            world.note(|| format!("the server's clock is {seconds} s ahead"));
        }
        80..83 => {
            runs::close(world, at);
            world.sources[at].retired = true;
            world.note(|| format!("source {at}: retired"));
        }
        83..86 => {
            world.provider.can_extend = !world.provider.can_extend;
            let can_extend = world.provider.can_extend;
            world.note(|| format!("the provider can extend: {can_extend}"));
        }
        _ => lose_track(world, at),
    }
}

/// An anomaly is found in a snapshot that is there, or a person decides on one: that is good gets the tiers that its periods still
/// have.
fn judge(world: &mut World, at: usize) {
    let policy = world.policy.clone();
    let source = &mut world.sources[at];
    let standing: Vec<usize> = (0..source.snapshots.len())
        .filter(|place| !source.snapshots[*place].expired)
        .collect();
    if standing.is_empty() {
        return;
    }
    let place = world.random.pick(&standing);
    let snapshot = &source.snapshots[place];
    let seq = snapshot.seq;
    let soundness = match snapshot.soundness {
        Soundness::Sound => Soundness::Undecided,
        Soundness::Undecided if world.random.percent(40) => Soundness::Bad,
        Soundness::Undecided | Soundness::Bad => Soundness::Sound,
    };
    if soundness.is_sound() {
        let candidate = TierCandidate {
            received_at: snapshot.received_at,
            clean: snapshot.clean,
            sound: true,
        };
        let more = assign_tiers(&policy, &source.tiered(seq), candidate).unwrap();
        let tiers = &mut source.snapshots[place].tiers;
        tiers.extend(more);
        tiers.sort_unstable();
        tiers.dedup();
        world.tally.decisions += 1;
    }
    source.snapshots[place].soundness = soundness;
    world.note(|| format!("source {at}: {seq} is {soundness:?}"));
}

/// The lock doctor finds something that it does not understand, or sets it right.
fn lose_track(world: &mut World, at: usize) {
    let rows = world.sources[at].live_rows();
    if rows.is_empty() {
        return;
    }
    let id = rows[world.random.place(rows.len())];
    let forgets = world.random.percent(50);
    let row = world.sources[at].row_mut(id);
    match row.state {
        _ if forgets => row.locked_until = None,
        ObjectState::Live => row.state = ObjectState::Unknown,
        ObjectState::Unknown if row.born.is_some() => row.state = ObjectState::Live,
        ObjectState::Unknown => row.state = ObjectState::Pending,
        ObjectState::Pending => row.state = ObjectState::Unknown,
        ObjectState::Deleting => {}
    }
    let state = row.state;
    world.note(|| format!("source {at}: row {id} is {state:?}, its lock forgotten: {forgets}"));
}
