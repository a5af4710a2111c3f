//! What a sweep did not do, in sentences for its report: one for each reason, however many objects it is the reason of.

use shared::words::counted;

/// Reasons, at most, in one report.
const REASONS: usize = 10;

/// What was not done.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    reasons: Vec<Reason>,
    /// What is told of by none of them.
    untold: u64,
}

#[derive(Debug)]
struct Reason {
    /// The first key that it was met at; none when it is about no single object.
    example: Option<String>,
    why: String,
    objects: u64,
}

impl Refusals {
    /// Notes a reason that is about no single object.
    pub(super) fn note(&mut self, why: String) {
        self.add(None, why);
    }

    /// Notes that something was not done to an object.
    pub(super) fn note_object(&mut self, key: &str, why: String) {
        self.add(Some(key), why);
    }

    fn add(&mut self, key: Option<&str>, why: String) {
        let same = |reason: &&mut Reason| reason.why == why && reason.example.is_some() == key.is_some();
        if let Some(reason) = self.reasons.iter_mut().find(same) {
            reason.objects += 1;
        } else if self.reasons.len() < REASONS {
            self.reasons.push(Reason {
                example: key.map(str::to_owned),
                why,
                objects: 1,
            });
        } else {
            self.untold += 1;
        }
    }

    /// The sentences, in the order in which the reasons were met.
    pub(super) fn sentences(&self) -> Vec<String> {
        let told = self
            .reasons
            .iter()
            .map(|reason| match (&reason.example, reason.objects) {
                (None, _) => reason.why.clone(),
                (Some(key), 1) => format!("{key}: {}", reason.why),
                (Some(key), objects) => {
                    let others = counted(objects - 1, "other object", "other objects");
                    format!("{key} and {others}: {}", reason.why)
                }
            });
        let more = (self.untold > 0).then(|| {
            format!(
                "And {} not done.",
                counted(self.untold, "more thing was", "more things were")
            )
        });
        told.chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_one_sentence() {
        let mut refusals = Refusals::default();
        refusals.note_object("a", "its lock could not be extended: QuotaExceeded.".into());
        assert_eq!(
            refusals.sentences(),
            ["a: its lock could not be extended: QuotaExceeded."]
        );
        for key in ["b", "c"] {
            refusals.note_object(key, "its lock could not be extended: QuotaExceeded.".into());
        }
        refusals.note("The clocks disagree.".into());
        assert_eq!(
            refusals.sentences(),
            [
                "a and 2 other objects: its lock could not be extended: QuotaExceeded.",
                "The clocks disagree."
            ]
        );
        for number in 0..9 {
            refusals.note_object("d", format!("reason {number}."));
        }
        let sentences = refusals.sentences();
        assert_eq!(sentences.len(), REASONS + 1);
        assert_eq!(sentences[REASONS], "And 1 more thing was not done.");
    }
}
