//! What is done to answers below the SDK. It keeps whole ones in memory: they are bounded. It does not tell 206 from 200: only the
//! first may name a range. An object's content is bounded by its reader.

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut,
    },
    error::BoxError,
    primitives::SdkBody,
};
use http_body_util::Limited;

/// A thousand entries of a listing, with keys of a thousand escaped characters, fit.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Ends an answer that is longer with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounded {
    /// Any answer.
    Answers,
    /// One that is no success.
    Refusals,
}

impl Intercept for Bounded {
    fn name(&self) -> &'static str {
        "Bounded"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response_mut();
        if answer.status().as_u16() != 206 {
            // It means nothing there (RFC 9110, section 14.4).
            answer.headers_mut().remove("content-range");
        }
        if *self == Self::Answers || !answer.status().is_success() {
            let body = answer.take_body();
            *answer.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER_BYTES));
        }
        Ok(())
    }
}
