//! Findings of a tenant's health: what S3 refuses for one cause is one sentence, however many sources and backup sets meet it.

use std::collections::{BTreeMap, btree_map::Entry};

use shared::{
    api::view::Health,
    ids::StorageAccountId,
    s3_refusal::{self, Cause},
};

use crate::db::storage_accounts::StorageAccount;

/// Sources and backup sets, at most, that a sentence names.
const NAMED: usize = 3;

/// What is found, before the same cause is told once.
#[derive(Default)]
pub(super) struct Findings {
    told: Vec<(Health, String)>,
    refusals: BTreeMap<(StorageAccountId, Cause), Refused>,
}

/// What S3 refuses of one storage account, for one cause.
struct Refused {
    health: Health,
    code: String,
    /// What met it: sources and backup sets, each once.
    subjects: Vec<String>,
    /// The finding as it stands, while it is the only one.
    alone: Option<String>,
}

impl Findings {
    /// Adds a finding of its own.
    pub(super) fn add(&mut self, health: Health, sentence: String) {
        self.told.push((health, sentence));
    }

    /// A finding whose reason was stored as a sentence, which may tell of a refusal of the store.
    pub(super) fn add_reason(
        &mut self,
        health: Health,
        account: Option<StorageAccountId>,
        subject: &str,
        what: &str,
        reason: &str,
    ) {
        let sentence = format!("{subject}: {what}: {reason}");
        let refusal = account.zip(s3_refusal::in_sentence(reason));
        let Some((account, (code, cause))) = refusal else {
            return self.add(health, sentence);
        };
        let known = match self.refusals.entry((account, cause)) {
            Entry::Vacant(entry) => entry.insert(Refused {
                health,
                code: code.to_owned(),
                subjects: Vec::new(),
                alone: Some(sentence),
            }),
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                known.alone = None;
                known
            }
        };
        known.health = known.health.min(health);
        if !known.subjects.iter().any(|known| known == subject) {
            known.subjects.push(subject.to_owned());
        }
    }

    /// The worst, and a sentence for each cause, the worst first. `accounts` give the names.
    pub(super) fn sentences(mut self, accounts: &[StorageAccount]) -> (Health, Vec<String>) {
        for ((account, cause), refused) in self.refusals {
            if let Some(sentence) = refused.alone {
                self.told.push((refused.health, sentence));
                continue;
            }
            let account = accounts.iter().find(|known| known.id == account);
            let account = account.map_or("", |account| &account.name);
            let named = refused.subjects.iter().take(NAMED).cloned().collect::<Vec<_>>();
            let more = refused.subjects.len() - named.len();
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let sentence = format!(
                "{account}: S3 refuses what is asked of it ({}): {}. It concerns {}{more}.",
                refused.code,
                cause.remedy(),
                named.join(", ")
            );
            self.told.push((refused.health, sentence));
        }
        self.told.sort_by_key(|finding| finding.0);
        let worst = self.told.first().map_or(Health::Protected, |finding| finding.0);
        (worst, self.told.into_iter().map(|finding| finding.1).collect())
    }
}
