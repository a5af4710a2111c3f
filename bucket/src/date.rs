//! The store's clock, as its answers tell it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use jiff::Timestamp;

use crate::error::S3Error;

/// Keeps the `Date` of the answers to one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct DateOfAnswer(Arc<Mutex<Option<String>>>);

impl Intercept for DateOfAnswer {
    fn name(&self) -> &'static str {
        "DateOfAnswer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

impl DateOfAnswer {
    /// The date of the last answer; `None` when there was no answer, or none with a date.
    pub(crate) fn read(&self) -> Option<Result<Timestamp, S3Error>> {
        let date = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Self::parse(&date))
    }

    fn parse(date: &str) -> Result<Timestamp, S3Error> {
        jiff::fmt::rfc2822::parse(date)
            .map(|date| date.timestamp())
            .map_err(|error| S3Error::Malformed(format!("Date {date:?}: {error}")))
    }
}
