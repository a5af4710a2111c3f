//! What S3's refusals mean. Each error code keeps its name, and has one sentence that says what to do, from wherever S3 was asked
//! (the server, a job, an agent) to the person: only `AccessDenied`, and a refusal without a code as HEAD has them, are a matter of
//! permissions.

use std::fmt;

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The endpoint's clock and the one that signed the request differ.
    ClockSkew,
    /// The quota of the bucket or of the account is used up.
    Quota,
    /// The object lies in an archive class.
    Archived,
    /// The provider has closed the account, or suspended it.
    Account,
    /// The endpoint does not know the access key.
    AccessKey,
    /// The secret key does not belong to the access key.
    Signature,
    /// There is no such bucket.
    Bucket,
    /// The keys lack a permission.
    Permission,
}

impl Cause {
    /// The cause that an error code stands for, if it is known here. A refusal without a code says something of permissions only
    /// when its status is 403.
    #[must_use]
    pub fn of(code: &str, status: u16) -> Option<Self> {
        Some(match code {
            "RequestTimeTooSkewed" => Self::ClockSkew,
            // The second is Ceph's for buckets of many parts, the third and fourth MinIO's.
            "QuotaExceeded"
            | "InsufficientCapacity"
            | "XMinioAdminBucketQuotaExceeded"
            | "XMinioStorageFull" => Self::Quota,
            "InvalidObjectState" => Self::Archived,
            "AccountProblem" | "AllAccessDisabled" | "NotSignedUp" | "UserSuspended" => Self::Account,
            "InvalidAccessKeyId" => Self::AccessKey,
            "SignatureDoesNotMatch" => Self::Signature,
            "NoSuchBucket" => Self::Bucket,
            "AccessDenied" => Self::Permission,
            "" if status == 403 => Self::Permission,
            _ => return None,
        })
    }

    /// What it means, and what to do about it: a sentence without its full stop.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::ClockSkew => {
                "the clock of the S3 endpoint and the clock that requests are signed by differ too much. Set the wrong one right; \
                 the work then goes on by itself"
            }
            Self::Quota => {
                "the quota of the bucket or of the account is used up. Raise it at the provider; nothing that is locked can be \
                 deleted to make room"
            }
            Self::Archived => {
                "the object lies in an archive class and cannot be read. Take the lifecycle rule that moves objects there off the \
                 bucket, and have the provider restore what was moved"
            }
            Self::Account => {
                "the provider has suspended the account, often for an unpaid bill. Settle it with the provider soon: objects of a \
                 closed account may be lost"
            }
            Self::AccessKey => {
                "the S3 endpoint does not know the storage account's access key any more. Enable the key again at the provider"
            }
            Self::Signature => {
                "the secret key does not belong to the access key, or something between here and the S3 endpoint changes requests. \
                 Look whether the key was replaced at the provider, and for a proxy on the way"
            }
            Self::Bucket => {
                "there is no such bucket at the S3 endpoint. Look whether somebody has deleted or renamed it"
            }
            Self::Permission => {
                "the storage account's keys lack the permission. Grant it at the provider, or look for a bucket policy that denies it"
            }
        }
    }
}

/// A refusal in words: `QuotaExceeded (HTTP 403): the quota …`, without a full stop.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// S3's error code; empty where the answer had none.
    pub code: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// S3's own message, told where the code is not known here.
    pub message: &'a str,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.code.is_empty() { NO_CODE } else { self.code };
        let words = match Cause::of(self.code, self.status) {
            Some(cause) => cause.remedy(),
            None => self.message,
        };
        write!(f, "{name} (HTTP {})", self.status)?;
        match words.trim_end_matches('.') {
            "" => Ok(()),
            words => write!(f, ": {words}"),
        }
    }
}

const NO_CODE: &str = "no error code";

/// The code and the cause of the refusal that a sentence tells of, if one that is known here is in it. For sentences that were
/// stored: the same cause in several of them is told once.
#[must_use]
pub fn in_sentence(sentence: &str) -> Option<(&str, Cause)> {
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once(" (HTTP ") {
        let status = after.split(')').next().and_then(|status| status.parse().ok());
        let code = if before.ends_with(NO_CODE) {
            ""
        } else {
            before
                .rsplit(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap_or_default()
        };
        if let Some(cause) = status.and_then(|status| Cause::of(code, status)) {
            return Some((if code.is_empty() { NO_CODE } else { code }, cause));
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 8] = [
        "RequestTimeTooSkewed",
        "QuotaExceeded",
        "InvalidObjectState",
        "AccountProblem",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "NoSuchBucket",
        "AccessDenied",
    ];

    #[test]
    fn each_code_keeps_its_name_and_has_a_sentence_of_its_own() {
        let mut sentences = std::collections::BTreeSet::new();
        for code in NAMES {
            let refusal = Refusal {
                code,
                status: 403,
                message: "Denied.",
            };
            let sentence = refusal.to_string();
            assert!(
                sentence.starts_with(&format!("{code} (HTTP 403): ")) && !sentence.ends_with('.'),
                "{sentence}"
            );
            assert_eq!(
                in_sentence(&format!("A lock could not be extended: {sentence}.")).map(|found| found.0),
                Some(code)
            );
            sentences.insert(sentence.split_once("): ").unwrap().1.to_owned());
        }
        assert_eq!(sentences.len(), NAMES.len());
    }

    #[test]
    fn only_a_denial_and_no_code_at_all_are_a_matter_of_permissions() {
        for (code, status) in
            NAMES
                .map(|code| (code, 403))
                .into_iter()
                .chain([("", 403), ("", 400), ("Odd", 403)])
        {
            let sentence = Refusal {
                code,
                status,
                message: "S3's own words",
            }
            .to_string();
            let is_denial = code == "AccessDenied" || (code.is_empty() && status == 403);
            let of_permissions = ["grant", "permission"]
                .iter()
                .any(|word| sentence.to_lowercase().contains(word));
            assert_eq!(of_permissions, is_denial, "{sentence}");
        }
        let odd = Refusal {
            code: "Odd",
            status: 400,
            message: "S3's own words.",
        }
        .to_string();
        assert_eq!(odd, "Odd (HTTP 400): S3's own words");
        assert_eq!(in_sentence(&odd), None);
        assert_eq!(
            in_sentence("no error code (HTTP 403): …"),
            Some(("no error code", Cause::Permission))
        );
    }
}
