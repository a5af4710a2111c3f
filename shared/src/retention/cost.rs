//! What things cost, as far as a verdict depends on it.

use jiff::SignedDuration;

use super::{Provider, gb};

/// An object that has lost a part of its data since it was put.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackUse {
    /// Its size.
    pub bytes: u64,
    /// How much of it the newest snapshot still uses.
    pub live_bytes: u64,
    /// Since it was committed.
    pub age: SignedDuration,
    /// Until its lock ends.
    pub still_locked: SignedDuration,
}

impl PackUse {
    /// Whether adding the live data again now is cheaper than to go on refreshing the object.
    ///
    /// Data decays: of B bytes, B·e^(−λt) are live after t days, and the object's own past tells λ: ln(B/L) / age. An object
    /// costs a dollars a day to store and k to refresh. When its L live bytes are added again, that costs u: the call and its
    /// confirmation, and the old copy, which stays until its lock ends (or as long as the provider bills it) although nobody
    /// needs it any more. Added again every t days, each byte-day in use costs ((a+k)·t + u) · λ / (1 − e^(−λt)). Its
    /// derivative is 0 where B/L − 1 = ln(B/L) + λ·u/(a+k); beyond that it pays. The rule for renewing what wears out, in
    /// its simplest form: renew when going on costs more than the average so far (Cox, "Renewal Theory", 1962; Barlow and
    /// Hunter, "Optimum Preventive Maintenance Policies", Operations Research 8, 1960).
    pub fn is_cheaper_added_again(&self, provider: &Provider, lock_ahead_days: u32) -> bool {
        let days = |time: SignedDuration| time.as_secs_f64() / 86_400.0;
        let (age, live) = (days(self.age), self.live_bytes.min(self.bytes));
        if live == self.bytes || age <= 0.0 {
            return false;
        }
        if live == 0 {
            return true;
        }
        let storing = gb(self.bytes) * provider.storage_usd_per_gb_day();
        let refreshing = provider.refresh_usd() / f64::from(lock_ahead_days.max(1));
        let billed = f64::from(provider.min_storage_days) - age;
        let stays = days(self.still_locked).max(billed).max(0.0);
        let renewing = provider.put_usd() + provider.head_usd() + storing * stays;
        let ratio = self.bytes as f64 / live as f64;
        let decay = ratio.ln();
        // λ·u/(a+k) with λ = decay / age. Where nothing costs anything a day, nothing is gained. At equality either costs the same.
        ratio - 1.0 > decay + decay / age * renewing / (storing + refreshing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: f64 = 86_400.0;

    fn pack_use(bytes: u64, live_bytes: u64, age_days: f64, locked_days: f64) -> PackUse {
        PackUse {
            bytes,
            live_bytes,
            age: SignedDuration::from_secs_f64(age_days * DAY),
            still_locked: SignedDuration::from_secs_f64(locked_days * DAY),
        }
    }

    /// A pack of 16 MiB that loses a hundredth a day, Amazon's prices, 90 days, Q = 10: at about a third.
    #[test]
    fn a_pack_is_renewed_when_about_a_third_is_left() {
        let pays = |left: f64| {
            let bytes = 16u64 << 20;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "below 16 MiB"
            )]
            let live = (bytes as f64 * left) as u64;
            pack_use(bytes, live, -left.ln() / 0.01, 90.0).is_cheaper_added_again(&Provider::AWS_STANDARD, 10)
        };
        assert!(!pays(0.9) && !pays(0.5) && !pays(0.36));
        assert!(pays(0.32) && pays(0.1) && pays(0.01));
    }

    #[test]
    fn nothing_is_gained_by_what_is_whole_or_new_or_free() {
        let aws = &Provider::AWS_STANDARD;
        assert!(!pack_use(1_000, 1_000, 1_000.0, 0.0).is_cheaper_added_again(aws, 1));
        assert!(!pack_use(1_000, 2_000, 1_000.0, 0.0).is_cheaper_added_again(aws, 1));
        assert!(!pack_use(1_000, 1, 0.0, 0.0).is_cheaper_added_again(aws, 1));
        assert!(!pack_use(1_000, 0, -1.0, 0.0).is_cheaper_added_again(aws, 1));
        let free = &Provider {
            put_usd_per_1000: 0.0,
            head_usd_per_1000: 0.0,
            storage_usd_per_gb_month: 0.0,
            ..*aws
        };
        assert!(!pack_use(1_000, 1, 1_000.0, 0.0).is_cheaper_added_again(free, 1));
        // Nothing of it is in use: there is nothing to send.
        assert!(pack_use(1_000, 0, 1.0, 90.0).is_cheaper_added_again(aws, 1));
    }

    proptest! {
        /// It pays exactly when waiting longer makes the average cost of a byte-day in use larger: the cost of going on is drawn as a curve
        /// over the age at renewal, and looked at here and a little later.
        #[test]
        fn it_pays_where_the_average_cost_begins_to_rise(
            bytes in 1_000_000_000u64..100_000_000_000,
            left in 0.02..0.99f64,
            age in 0.5..2_000f64,
            locked in -20.0..400f64,
            min_storage_days in 0..400u32,
            (put, head) in (0.0..50f64, 0.0..50f64),
            storage in prop_oneof![Just(0.0), 0.0..0.1f64],
            lock_ahead_days in 1..100u32,
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number of bytes")]
            let live = (bytes as f64 * left) as u64;
            let provider = Provider {
                min_storage_days,
                put_usd_per_1000: put,
                head_usd_per_1000: head,
                storage_usd_per_gb_month: storage,
                ..Provider::AWS_STANDARD
            };
            let decay_a_day = (bytes as f64 / live as f64).ln() / age;
            let store_a_day = bytes as f64 / 1e9 * storage * 12.0 / 365.0;
            let call = (put + head) / 1_000.0;
            let a_day = store_a_day + call / f64::from(lock_ahead_days);
            let once = call + store_a_day * locked.max(f64::from(min_storage_days) - age).max(0.0);
            let average = |t: f64| (a_day * t + once) * decay_a_day / (1.0 - (-decay_a_day * t).exp());
            let (here, later) = (average(age), average(age * 1.0001));
            // At the bottom of the curve neither answer is wrong.
            prop_assume!((later / here - 1.0).abs() > 1e-7);
            let pays = pack_use(bytes, live, age, locked).is_cheaper_added_again(&provider, lock_ahead_days);
            prop_assert_eq!(pays, later > here);
        }
    }
}
