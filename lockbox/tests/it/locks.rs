//! Object Lock: each rule of AWS that protects a version.

use aws_sdk_s3::types::{
    ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetentionMode,
};

use crate::support::lab::{
    DAY, LOCKED, Lab, PLAIN, batch, client, code, config, refused, retain, set_default,
};

async fn hold(lab: &Lab, bucket: &str, key: &str, status: ObjectLockLegalHoldStatus) -> Result<(), String> {
    let element = ObjectLockLegalHold::builder().status(status).build();
    let put = lab
        .s3
        .put_object_legal_hold()
        .bucket(bucket)
        .key(key)
        .legal_hold(element);
    put.send().await.map(drop).map_err(|e| code(&e))
}

#[tokio::test]
async fn compliance_forbids_deletion_until_its_date_and_not_longer() {
    let lab = Lab::start().await;
    let id = lab.put_locked("k", ObjectLockMode::Compliance, DAY).await;
    for bypass in [false, true] {
        assert_eq!(
            lab.delete_version("k", &id, bypass).await,
            refused("AccessDenied")
        );
    }
    let many = lab
        .s3
        .delete_objects()
        .bucket(LOCKED)
        .bypass_governance_retention(true);
    let answer = many.delete(batch(&[("k", Some(&id))])).send().await.unwrap();
    assert_eq!(answer.errors()[0].code(), Some("AccessDenied"));
    assert!(answer.deleted().is_empty());
    lab.clock.advance(DAY - std::time::Duration::from_secs(2));
    assert_eq!(lab.delete_version("k", &id, true).await, refused("AccessDenied"));
    lab.clock.advance(std::time::Duration::from_secs(3));
    assert_eq!(lab.delete_version("k", &id, false).await, Ok(()));
    assert!(lab.everything(LOCKED).await.is_empty());
}

#[tokio::test]
async fn compliance_is_never_shortened_removed_or_turned_into_governance() {
    use ObjectLockRetentionMode::{Compliance, Governance};
    let lab = Lab::start().await;
    lab.put_locked("k", ObjectLockMode::Compliance, DAY * 10).await;
    for bypass in [false, true] {
        for new in [
            Some((Compliance, lab.ahead(DAY * 9))),
            Some((Governance, lab.ahead(DAY * 10))),
            Some((Governance, lab.ahead(DAY * 20))),
            None,
        ] {
            assert_eq!(retain(&lab, "k", new, bypass).await, refused("AccessDenied"));
        }
    }
    assert_eq!(
        retain(&lab, "k", Some((Compliance, lab.ahead(DAY * 11))), false).await,
        Ok(())
    );
    let head = lab.s3.head_object().bucket(LOCKED).key("k").send().await.unwrap();
    assert_eq!(head.object_lock_retain_until_date, Some(lab.ahead(DAY * 11)));
    lab.clock.advance(DAY * 12);
    // An expired lock binds nobody any more.
    assert_eq!(
        retain(&lab, "k", Some((Governance, lab.ahead(DAY))), false).await,
        Ok(())
    );
}

#[tokio::test]
async fn governance_yields_to_the_bypass_only() {
    use ObjectLockRetentionMode::{Compliance, Governance};
    let lab = Lab::start().await;
    let id = lab.put_locked("k", ObjectLockMode::Governance, DAY * 10).await;
    assert_eq!(lab.delete_version("k", &id, false).await, refused("AccessDenied"));
    for new in [
        Some((Governance, lab.ahead(DAY * 9))),
        Some((Compliance, lab.ahead(DAY * 20))),
        None,
    ] {
        assert_eq!(retain(&lab, "k", new, false).await, refused("AccessDenied"));
    }
    assert_eq!(
        retain(&lab, "k", Some((Governance, lab.ahead(DAY * 12))), false).await,
        Ok(())
    );
    assert_eq!(
        retain(&lab, "k", Some((Governance, lab.ahead(DAY))), true).await,
        Ok(())
    );
    assert_eq!(lab.delete_version("k", &id, true).await, Ok(()));
    lab.put_locked("k2", ObjectLockMode::Governance, DAY).await;
    assert_eq!(retain(&lab, "k2", None, true).await, Ok(()));
    let error = lab
        .s3
        .get_object_retention()
        .bucket(LOCKED)
        .key("k2")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "NoSuchObjectLockConfiguration");
}

#[tokio::test]
async fn legal_hold_forbids_deletion_whatever_the_retention() {
    let lab = Lab::start().await;
    let id = lab.put(LOCKED, "k", b"x").await.unwrap();
    let error = lab
        .s3
        .get_object_legal_hold()
        .bucket(LOCKED)
        .key("k")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "NoSuchObjectLockConfiguration");
    assert_eq!(
        hold(&lab, LOCKED, "k", ObjectLockLegalHoldStatus::On).await,
        Ok(())
    );
    for bypass in [false, true] {
        assert_eq!(
            lab.delete_version("k", &id, bypass).await,
            refused("AccessDenied")
        );
    }
    lab.clock.advance(DAY * 1000);
    assert_eq!(lab.delete_version("k", &id, true).await, refused("AccessDenied"));
    let head = lab.s3.head_object().bucket(LOCKED).key("k").send().await.unwrap();
    assert_eq!(
        head.object_lock_legal_hold_status,
        Some(ObjectLockLegalHoldStatus::On)
    );
    assert_eq!(
        hold(&lab, LOCKED, "k", ObjectLockLegalHoldStatus::Off).await,
        Ok(())
    );
    assert_eq!(lab.delete_version("k", &id, false).await, Ok(()));
    lab.put(PLAIN, "k", b"x").await;
    assert_eq!(
        hold(&lab, PLAIN, "k", ObjectLockLegalHoldStatus::On).await,
        refused("InvalidRequest")
    );
}

#[tokio::test]
async fn versioning_of_a_lock_bucket_stays_on() {
    let lab = Lab::start().await;
    assert_eq!(
        lab.set_versioning(LOCKED, "Suspended").await,
        refused("InvalidBucketState")
    );
    assert_eq!(lab.set_versioning(LOCKED, "Enabled").await, Ok(()));
    let versioning = lab
        .s3
        .get_bucket_versioning()
        .bucket(LOCKED)
        .send()
        .await
        .unwrap();
    assert_eq!(versioning.status.unwrap().as_str(), "Enabled");
}

#[tokio::test]
async fn object_lock_needs_versioning() {
    let lab = Lab::start().await;
    assert_eq!(set_default(&lab, PLAIN, 3).await, refused("InvalidBucketState"));
    let error = lab
        .s3
        .get_object_lock_configuration()
        .bucket(PLAIN)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ObjectLockConfigurationNotFoundError");
    lab.set_versioning(PLAIN, "Enabled").await.unwrap();
    assert_eq!(set_default(&lab, PLAIN, 3).await, Ok(()));
    assert_eq!(
        lab.set_versioning(PLAIN, "Suspended").await,
        refused("InvalidBucketState")
    );
    let found = lab
        .s3
        .get_object_lock_configuration()
        .bucket(PLAIN)
        .send()
        .await
        .unwrap();
    let rule = found
        .object_lock_configuration
        .unwrap()
        .rule
        .unwrap()
        .default_retention
        .unwrap();
    assert_eq!(rule.days, Some(3));
}

#[tokio::test]
async fn an_overwrite_leaves_the_locked_version() {
    let lab = Lab::start().await;
    let id = lab.put_locked("k", ObjectLockMode::Compliance, DAY).await;
    lab.put(LOCKED, "k", b"newer").await;
    lab.s3
        .delete_object()
        .bucket(LOCKED)
        .key("k")
        .send()
        .await
        .unwrap();
    let old = lab
        .s3
        .get_object()
        .bucket(LOCKED)
        .key("k")
        .version_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(old.object_lock_mode, Some(ObjectLockMode::Compliance));
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"kept");
}

#[tokio::test]
async fn locks_survive_a_restart() {
    let lab = Lab::start().await;
    let id = lab.put_locked("k", ObjectLockMode::Compliance, DAY).await;
    let Lab {
        running, clock, dir, ..
    } = lab;
    let shared = running.clock().clone();
    running.stop().await;
    let running = lockbox::Lockbox::start(config(&dir, shared)).await.unwrap();
    let s3 = client(running.endpoint(), clock.clone());
    let lab = Lab {
        running,
        clock,
        s3,
        dir,
    };
    assert_eq!(lab.delete_version("k", &id, true).await, refused("AccessDenied"));
    assert_eq!(lab.get(LOCKED, "k").await, b"kept");
}
