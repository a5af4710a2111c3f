//! What the storage says when it refuses.

use reqwest::Response;
use shared::s3_refusal::Cause;

use crate::retry::{DOUBTS, Verdict};

/// More of a refusal is not read: S3's are shorter.
const MAX_BYTES: usize = 16 * 1024;
/// The longest code that is told: enough for people, and no more of a stranger's text than that.
const MAX_CODE: usize = 80;

/// The `Code` of an S3 error; empty where the answer has none.
pub(crate) async fn code(answer: &mut Response) -> String {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        let room = MAX_BYTES - text.len();
        text.extend_from_slice(&piece[..piece.len().min(room)]);
        if text.len() == MAX_BYTES {
            break;
        }
    }
    code_in(&String::from_utf8_lossy(&text))
}

fn code_in(xml: &str) -> String {
    xml.split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code.trim())
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(MAX_CODE)
        .collect()
}

/// What another address, or the same request a little later, may bring. An address that has run out is refused with
/// `AccessDenied`; a quota, an account or keys that are no good stay so until a person sees to them.
pub(crate) fn verdict(status: u16, code: &str) -> Verdict {
    match Cause::of(code, status) {
        // The clock may be set right at any moment, as a store may come back.
        Some(Cause::ClockSkew) => Verdict::Away,
        Some(
            Cause::Quota
            | Cause::Archived
            | Cause::Account
            | Cause::AccessKey
            | Cause::Signature
            | Cause::Bucket,
        ) => Verdict::Final,
        None | Some(Cause::Permission) => match (status, code) {
            (400, "RequestTimeout") | (408 | 425 | 429 | 500..=504 | 507, _) => Verdict::Away,
            _ => Verdict::Doubtful(DOUBTS),
        },
    }
}

/// Whether a refusal that all attempts of a run met may be over when the next run begins, without anybody's doing.
pub(crate) fn may_pass(status: u16, code: &str) -> bool {
    verdict(status, code) != Verdict::Final && Cause::of(code, status) != Some(Cause::Permission)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_told_and_nothing_else_of_the_answer() {
        for (xml, code) in [
            (
                "<Error><Code>QuotaExceeded</Code><Message>m</Message></Error>",
                "QuotaExceeded",
            ),
            ("<Error><Code> a\u{202e}<b> </Code>", "ab"),
            ("<html>403</html>", ""),
            ("", ""),
        ] {
            assert_eq!(code_in(xml), code, "{xml}");
        }
        assert_eq!(
            code_in(&format!("<Code>{}</Code>", "x".repeat(1_000))).len(),
            MAX_CODE
        );
    }

    #[test]
    fn what_only_a_person_can_mend_is_not_tried_again() {
        use Verdict::{Away, Doubtful, Final};
        for (status, code, again, later) in [
            (403, "AccessDenied", Doubtful(DOUBTS), false),
            (403, "", Doubtful(DOUBTS), false),
            (403, "RequestTimeTooSkewed", Away, true),
            (503, "SlowDown", Away, true),
            (400, "RequestTimeout", Away, true),
            (502, "", Away, true),
            (429, "", Away, true),
            (307, "TemporaryRedirect", Doubtful(DOUBTS), true),
            (409, "OperationAborted", Doubtful(DOUBTS), true),
            (404, "NoSuchKey", Doubtful(DOUBTS), true),
            (403, "QuotaExceeded", Final, false),
            (403, "InvalidObjectState", Final, false),
            (403, "AccountProblem", Final, false),
            (403, "InvalidAccessKeyId", Final, false),
            (403, "SignatureDoesNotMatch", Final, false),
            (404, "NoSuchBucket", Final, false),
        ] {
            assert_eq!(verdict(status, code), again, "{status} {code}");
            assert_eq!(may_pass(status, code), later, "{status} {code}");
        }
    }
}
