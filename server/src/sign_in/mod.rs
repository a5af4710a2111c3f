//! The door for people: how often a password may be guessed, how many are checked at the same time, and what is told of it.

mod browser;
mod budget;
mod passwords;
mod refusals;

use std::net::IpAddr;

use jiff::SignedDuration;

pub use browser::{KNOWN_FOR, KnownBrowser};
pub use budget::{Budgets, Rate, Reservation};
pub use passwords::{Busy, Lane, Passwords};
pub use refusals::{COUNTED, Counted, Refusal, Refusals};

/// What wrong guesses are counted under. Those that are right do not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Guess {
    /// Passwords of one account, from one client address, by browsers that are not known.
    Account(IpAddr, String),
    /// Passwords of whatever accounts, from one client address, by browsers that are not known.
    Address(IpAddr),
    /// All passwords of browsers that are not known, at addresses that guessed wrong within the hour.
    Instance,
    /// The first password from a client address within an hour, by a browser that is not known.
    First(IpAddr),
    /// All of those. A flood from however many addresses counts here once for each, and leaves room for everybody else's first try.
    AllFirst,
    /// Passwords that a known browser sends. It counts under nothing else, and nothing else counts under it.
    Browser(KnownBrowser),
    /// Enrollment tokens, from one client address. The right one is taken however many wrong ones came.
    Token(IpAddr),
}

impl Guess {
    /// How many may be wrong (docs/LIMITS.md).
    #[must_use]
    pub const fn rate(&self) -> Rate {
        const fn rate(burst: u32, every: SignedDuration) -> Rate {
            Rate { burst, every }
        }
        match self {
            Self::Account(..) => rate(10, SignedDuration::from_secs(60)),
            Self::Address(_) => rate(40, SignedDuration::from_secs(6)),
            Self::Instance | Self::AllFirst => rate(300, SignedDuration::from_millis(200)),
            Self::First(_) => rate(1, SignedDuration::from_hours(1)),
            Self::Browser(_) => rate(10, SignedDuration::from_secs(30)),
            Self::Token(_) => rate(20, SignedDuration::from_secs(6)),
        }
    }
}

impl Budgets<Guess> {
    /// Counts a guess under all of these, or under none.
    #[must_use]
    pub fn guess(&self, guesses: Vec<Guess>, now: jiff::Timestamp) -> Option<Reservation<Guess>> {
        let budgets: Vec<(Guess, Rate)> = guesses
            .into_iter()
            .map(|guess| {
                let rate = guess.rate();
                (guess, rate)
            })
            .collect();
        self.take(&budgets, now)
    }
}
