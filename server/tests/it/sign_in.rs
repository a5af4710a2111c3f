//! Signing in: strangers who guess are stopped, and keep nobody else out.

use std::collections::BTreeMap;

use futures::future::join_all;
use holdfast_server::{
    client_address::TrustedProxies,
    sign_in::{COUNTED, Guess},
    use_cases::system::refused_sign_ins,
};
use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    api::{ErrorBody, agent::BASE_PATH, request::NewEnrollmentToken, view::EnrollmentTokenView},
    schedule::Schedule,
};

use crate::{
    HEAP,
    support::{EMAIL, PASSWORD, Stack},
};

/// A server behind a proxy, so that a test can come from anywhere.
async fn stack() -> Stack {
    Stack::start_with(|settings| {
        settings.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    })
    .await
}

/// How a try to sign in ended.
struct Told {
    status: StatusCode,
    code: String,
    /// The cookie that makes the browser known.
    browser: Option<String>,
}

struct Browser {
    http: reqwest::Client,
    url: String,
    address: String,
    cookie: Option<String>,
}

impl Browser {
    fn at(stack: &Stack, address: impl Into<String>) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: stack.url.clone(),
            address: address.into(),
            cookie: None,
        }
    }

    async fn tries(&self, email: &str, password: &str) -> Told {
        let mut request = self
            .http
            .post(format!("{}/api/v1/session", self.url))
            .header("x-forwarded-for", &self.address)
            .json(&json!({ "email": email, "password": password }));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        let cookies = answer.headers().get_all("set-cookie").iter();
        let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap());
        let browser = cookies.find(|cookie| cookie.starts_with("holdfast_browser="));
        let browser = browser.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        let status = answer.status();
        let body = answer.text().await.unwrap();
        let code = serde_json::from_str::<ErrorBody>(&body).map(|body| body.code);
        Told {
            status,
            code: code.unwrap_or_default(),
            browser,
        }
    }

    /// Guesses until it is stopped; gives how often it was told that the password is wrong. On a slow machine a budget gives a
    /// few more meanwhile.
    async fn guesses(&self, email: impl Fn(usize) -> String) -> usize {
        for wrong in 0..1_000 {
            let told = self.tries(&email(wrong), "wrong password").await;
            match told.code.as_str() {
                "wrong_credentials" => {}
                "too_many_attempts" => return wrong,
                other => panic!("{other}"),
            }
        }
        panic!("it was not stopped");
    }

    async fn signs_in(&self) -> bool {
        self.tries(EMAIL, PASSWORD).await.status == StatusCode::OK
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_guess_lock_nobody_out() {
    let stack = stack().await;
    let mut owner = Browser::at(&stack, "192.0.2.1");
    let told = owner.tries(EMAIL, PASSWORD).await;
    owner.cookie = Some(told.browser.expect("the browser is known from now on"));

    let stranger = Browser::at(&stack, "203.0.113.9");
    let wrong = stranger.guesses(|_| EMAIL.into()).await;
    assert!((10..20).contains(&wrong), "{wrong}");
    // Nor does the right password get in by then: otherwise guessing would only be slower.
    assert!(!stranger.signs_in().await);
    // The account is open to everybody else, known or not.
    assert!(owner.signs_in().await);
    assert!(Browser::at(&stack, "192.0.2.2").signs_in().await);
    // Also from the stranger's own address, as in an office behind one.
    owner.address = stranger.address.clone();
    let told = owner.tries(EMAIL, PASSWORD).await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.browser, None, "it is known already");
    // Who waits may try again.
    stack.clock.advance(SignedDuration::from_secs(61));
    assert!(stranger.signs_in().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_browser_is_known_for_its_account_and_has_few_tries_of_its_own() {
    let stack = stack().await;
    let mut browser = Browser::at(&stack, "192.0.2.1");
    browser.cookie = browser.tries(EMAIL, PASSWORD).await.browser;
    let cookie = browser.cookie.clone().unwrap();
    let wrong = browser.guesses(|_| EMAIL.into()).await;
    assert!((10..20).contains(&wrong), "{wrong}");
    // It used nobody else's tries up: not those of its own address either.
    browser.cookie = None;
    assert!(browser.signs_in().await);
    // A changed cookie is none, and neither is one for another account.
    let stranger = Browser {
        cookie: Some(cookie.clone()),
        ..Browser::at(&stack, "203.0.113.9")
    };
    stranger.guesses(|_| "other@example.test".into()).await;
    let forged = Browser {
        cookie: Some(cookie.replace('.', ".0")),
        ..Browser::at(&stack, "203.0.113.10")
    };
    forged.guesses(|_| EMAIL.into()).await;
    // What they used up is not the known browser's.
    browser.cookie = Some(cookie);
    stack.clock.advance(SignedDuration::from_secs(31));
    assert!(browser.signs_in().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_password_over_many_accounts_is_stopped() {
    let stack = stack().await;
    let stranger = Browser::at(&stack, "203.0.113.9");
    let wrong = stranger.guesses(|nth| format!("person{nth}@example.test")).await;
    assert!((40..60).contains(&wrong), "{wrong}");
    // All addresses of a subscriber's network are one.
    let wrong = Browser::at(&stack, "2001:db8:1:2::1")
        .guesses(|_| EMAIL.into())
        .await;
    assert!((10..20).contains(&wrong), "{wrong}");
    let neighbour = Browser::at(&stack, "2001:db8:1:2:3:4:5:6");
    assert_eq!(neighbour.tries(EMAIL, "x").await.code, "too_many_attempts");
    let elsewhere = Browser::at(&stack, "2001:db8:1:3::1");
    assert_eq!(elsewhere.tries(EMAIL, "x").await.code, "wrong_credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_from_many_addresses_are_stopped_for_the_instance() {
    let stack = stack().await;
    let mut owner = Browser::at(&stack, "192.0.2.1");
    owner.cookie = owner.tries(EMAIL, PASSWORD).await.browser;
    // As many as may be wrong, from anywhere, in an hour that is still to come: until then nothing is given back.
    let later = stack.clock.now() + SignedDuration::from_hours(1);
    let use_up = |guess: Guess| {
        for _ in 0..guess.rate().burst {
            assert!(stack.app.guesses.guess(vec![guess.clone()], later).is_some());
        }
        assert!(stack.app.guesses.guess(vec![guess], later).is_none());
    };
    use_up(Guess::Instance);
    for last in 1..10 {
        let stranger = Browser::at(&stack, format!("203.0.113.{last}"));
        // The first try of each address counts apart.
        assert_eq!(stranger.tries(EMAIL, "x").await.code, "wrong_credentials");
        assert_eq!(stranger.tries(EMAIL, "x").await.code, "too_many_attempts");
    }
    // So whoever comes from elsewhere signs in, as often as they like.
    let newcomer = Browser::at(&stack, "192.0.2.77");
    assert!(newcomer.signs_in().await && newcomer.signs_in().await);
    use_up(Guess::AllFirst);
    for last in 11..20 {
        let stranger = Browser::at(&stack, format!("203.0.113.{last}"));
        assert_eq!(stranger.tries(EMAIL, "x").await.code, "too_many_attempts");
    }
    assert!(owner.signs_in().await, "a known browser has its own budget");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_passwords_do_not_count() {
    let stack = stack().await;
    let browser = Browser::at(&stack, "192.0.2.1");
    for nth in 0..25 {
        assert!(browser.signs_in().await, "{nth}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_leaves_the_door_open_and_no_memory_behind() {
    let stack = stack().await;
    let mut owner = Browser::at(&stack, "192.0.2.1");
    owner.cookie = owner.tries(EMAIL, PASSWORD).await.browser;
    let before = HEAP.current_usage();
    let flood = join_all((0..250_u32).map(|nth| {
        let stranger = Browser::at(&stack, format!("203.0.113.{nth}"));
        async move { stranger.tries(EMAIL, "wrong password").await }
    }));
    let right = async {
        let mut right = 0;
        for _ in 0..5 {
            right += u32::from(owner.signs_in().await);
        }
        right
    };
    let (flood, right) = tokio::join!(flood, right);
    assert_eq!(right, 5);
    let mut told = BTreeMap::new();
    for one in flood {
        *told.entry((one.status.as_u16(), one.code)).or_insert(0) += 1;
    }
    let busy = told.get(&(503, "busy".to_owned())).copied().unwrap_or_default();
    assert!(busy > 0, "what waits is bounded: {told:?}");
    let known = [
        (401, "wrong_credentials"),
        (429, "too_many_attempts"),
        (503, "busy"),
    ];
    assert!(
        told.keys()
            .all(|(status, code)| known.contains(&(*status, code.as_str()))),
        "{told:?}"
    );
    // Hashing works in memory that is there already: one password takes 19 MiB.
    let more = HEAP.current_usage().saturating_sub(before);
    assert!(more < 16 << 20, "{more} bytes more than before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_sign_ins_are_one_event_an_hour_without_what_strangers_typed() {
    let stack = stack().await;
    let stranger = Browser::at(&stack, "203.0.113.9");
    let wrong = stranger.guesses(|_| EMAIL.into()).await;
    stranger.tries("<script>@example.test", "typed text").await;
    let events = async || {
        let sql = "SELECT actor, subject, detail FROM audit_events WHERE action = 'session.refused'";
        stack.query(sql).await
    };
    refused_sign_ins::tell(&stack.app, false).await.unwrap();
    assert!(events().await.is_empty(), "not before the hour is over");
    stack.clock.advance(COUNTED);
    refused_sign_ins::tell(&stack.app, false).await.unwrap();
    let told = events().await;
    assert_eq!(told.len(), 1);
    let text = |column: &str| told[0].try_get::<String>("", column).unwrap();
    assert_eq!(
        (text("actor").as_str(), text("subject").as_str()),
        ("system", "sign-ins")
    );
    let detail: Value = told[0].try_get("", "detail").unwrap();
    assert_eq!(
        (&detail["wrong"], &detail["over_budget"]),
        (&json!(wrong + 1), &json!(1))
    );
    let operator = stack.operator_user().await;
    assert_eq!(detail["of_users"], json!({ operator.id.to_string(): wrong }));
    assert!(!detail.to_string().contains("script"));
    // The next hour begins with the next one that is refused, and a server that stops tells what it has.
    stack.clock.advance(COUNTED);
    refused_sign_ins::tell(&stack.app, false).await.unwrap();
    assert_eq!(events().await.len(), 1);
    stranger.tries(EMAIL, "wrong password").await;
    refused_sign_ins::tell(&stack.app, true).await.unwrap();
    assert_eq!(events().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secrets_do_not_lock_an_enrollment_token() {
    let stack = stack().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let request = NewEnrollmentToken {
        backup_set_id: site.set.id,
    };
    let path = format!("/tenants/{}/enrollment-tokens", site.tenant);
    let token: EnrollmentTokenView = stack.operator.post(&path, &request).await.unwrap();
    let (row, _) = token.token.rsplit_once('_').unwrap();
    let http = reqwest::Client::new();
    let tries = async |token: &str| {
        let answer = http
            .post(format!("{}{BASE_PATH}/enrollment", stack.url))
            .header("x-forwarded-for", "203.0.113.9")
            .json(&json!({ "token": token }))
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    };
    let mut wrong = 0;
    loop {
        match tries(&format!("{row}_wrong{wrong}")).await {
            422 => wrong += 1,
            429 => break,
            other => panic!("{other}"),
        }
        assert!(wrong < 1_000, "it was not stopped");
    }
    assert!(wrong >= 20, "{wrong}");
    assert_eq!(tries(&token.token).await, 200);
}
