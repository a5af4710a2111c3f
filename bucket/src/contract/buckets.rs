//! Buckets, keys, and the store's clock.

use jiff::SignedDuration;

use super::fixture::{Breach, Fixture, must, must_refuse};
use crate::store::BucketState;

/// What requests and answers may lie apart.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

pub(super) async fn bucket_is_made_with_its_lock(f: &Fixture) -> Result<(), Breach> {
    // Some stores allow it to the owner, some refuse: the bucket must stay what it is.
    drop(f.store.create_bucket(&f.bucket).await);
    let state = f.store.bucket_state(&f.bucket).await?;
    let expected = BucketState {
        versioning: true,
        object_lock: true,
    };
    must(state == expected, || format!("{state:?}"))?;
    let absent = format!("{}-absent", f.bucket);
    must_refuse(
        "a bucket that is not there",
        f.store.bucket_state(&absent).await,
        &["NoSuchBucket"],
    )
}

pub(super) async fn keys_are_accepted(f: &Fixture) -> Result<(), Breach> {
    Ok(f.store.try_keys().await?)
}

pub(super) async fn date_is_told(f: &Fixture) -> Result<(), Breach> {
    for bucket in [f.bucket.clone(), format!("{}-absent", f.bucket)] {
        let told = f.store.time(&bucket).await?;
        let apart = told.duration_since(f.now).abs();
        must(apart < CLOCK_TOLERANCE, || {
            format!("the Date of {bucket} is {apart:#} away")
        })?;
    }
    Ok(())
}
