//! The console's plain forms: nothing that was typed is in an address, no address puts words on a page, and the words of a recovery
//! kit are repeated nowhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use reqwest::{StatusCode, header::HeaderMap, redirect::Policy};
use shared::{api::view::TenantOverview, schedule::Schedule};

use crate::support::{EMAIL, Stack};

/// A browser without JavaScript: it keeps cookies, and follows nothing by itself.
struct Browser {
    url: String,
    cookies: std::collections::BTreeMap<String, String>,
    http: reqwest::Client,
}

impl Browser {
    fn new(stack: &Stack, session: Option<&str>) -> Self {
        let mut browser = Self {
            url: stack.url.clone(),
            cookies: std::collections::BTreeMap::new(),
            http: reqwest::Client::builder()
                .redirect(Policy::none())
                .build()
                .unwrap(),
        };
        if let Some((name, value)) = session.and_then(|session| session.split_once('=')) {
            browser.cookies.insert(name.to_owned(), value.to_owned());
        }
        browser
    }

    fn cookie(&self) -> String {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        cookies.join("; ")
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(attributes.contains("HttpOnly"), "{attributes}");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// A page, and where it leads to when it is none.
    async fn get(&mut self, path: &str) -> (String, Option<String>) {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request
            .header("cookie", self.cookie())
            .header("accept", "text/html")
            .send()
            .await
            .unwrap();
        self.keep(answer.headers());
        let to = answer
            .headers()
            .get("location")
            .map(|to| to.to_str().unwrap().to_owned());
        (answer.text().await.unwrap(), to)
    }

    /// Posts a form from `page`; gives where it leads to.
    async fn post(&mut self, form: &str, page: &str, fields: &[(&str, &str)]) -> String {
        let request = self.http.post(format!("{}/console/fn/{form}", self.url));
        let request = request
            .header("cookie", self.cookie())
            .header("accept", "text/html")
            .header("referer", format!("{}{page}", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(fields));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        self.keep(answer.headers());
        answer.headers()["location"].to_str().unwrap().to_owned()
    }
}

/// The body of a form (application/x-www-form-urlencoded).
fn encoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        let byte = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect::<String>()
    };
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

const WORDS: &str = "abandon ability able about above absent absorb abstract absurd abuse access accident account accuse achieve acid \
                     acoustic acquire across act action actor actress actual";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_comes_back_and_is_in_no_address() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let tenant = site.tenant.to_string();
    let account = site.set.storage_account_id.to_string();

    let mut stranger = Browser::new(&stack, None);
    let to = stranger
        .post(
            "sign_in",
            "/sign-in",
            &[
                ("email", EMAIL),
                ("password", "wrong-pass-word"),
                ("next", "/tenants/x"),
            ],
        )
        .await;
    assert_eq!(to, "/sign-in?next=%2Ftenants%2Fx");
    let (page, _) = stranger.get(&to).await;
    assert!(page.contains("E-mail address or password is wrong."), "{page}");
    assert!(
        page.contains(&format!("value=\"{EMAIL}\"")) && !page.contains("wrong-pass-word"),
        "{page}"
    );
    // It is told once.
    let (page, _) = stranger.get(&to).await;
    assert!(
        !page.contains("password is wrong") && !page.contains(EMAIL),
        "{page}"
    );

    let mut operator = Browser::new(&stack, Some(stack.operator.cookie()));
    let here = format!("/tenants/{tenant}/storage-accounts/new");
    let typed = [
        ("tenant", tenant.as_str()),
        ("name", "Backups"),
        ("endpoint", "http://127.0.0.1:9/"),
        ("region", "eu-central-1"),
        ("access_key", "AKIATYPED"),
        ("secret_key", "typed-secret"),
        ("path_style", "true"),
    ];
    let to = operator.post("create_storage_account", &here, &typed).await;
    assert_eq!(to, here);
    let (page, _) = operator.get(&to).await;
    for shown in ["Backups", "http://127.0.0.1:9/", "eu-central-1", "AKIATYPED"] {
        assert!(page.contains(&format!("value=\"{shown}\"")), "{shown}: {page}");
    }
    assert!(
        page.contains("notice bad") && !page.contains("typed-secret"),
        "{page}"
    );

    let here = format!("/tenants/{tenant}/backup-sets/new");
    let set = |key: &'static str| {
        [
            ("tenant", tenant.clone()),
            ("name", "Second".to_owned()),
            ("storage_account_id", account.clone()),
            ("bucket", "second".to_owned()),
            ("prefix", String::new()),
            ("create_bucket", "true".to_owned()),
            ("immutable_retention", "true".to_owned()),
            ("retention_days", "7".to_owned()),
            ("mode", "compliance".to_owned()),
            ("recovery_key", key.to_owned()),
        ]
    };
    let fields = set(WORDS);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let to = operator.post("create_backup_set", &here, &fields).await;
    assert_eq!(to, here);
    assert!(operator.cookies.values().all(|value| !value.contains("abandon")));
    let (page, _) = operator.get(&to).await;
    assert!(
        page.contains("make a new kit") && page.contains("value=\"Second\""),
        "{page}"
    );
    assert!(
        !page.contains("abstract") && !page.contains("acoustic"),
        "the words are repeated: {page}"
    );
    let rows = stack
        .query("SELECT 1 FROM audit_events WHERE detail::text LIKE '%acoustic%'")
        .await;
    assert!(rows.is_empty());
    // By the automation API neither.
    let body: serde_json::Map<String, serde_json::Value> = fields[1..]
        .iter()
        .map(|(name, value)| match *name {
            "create_bucket" | "immutable_retention" => ((*name).to_owned(), true.into()),
            "retention_days" => ((*name).to_owned(), 7.into()),
            _ => ((*name).to_owned(), (*value).into()),
        })
        .collect();
    let path = format!("/tenants/{tenant}/backup-sets");
    let refused = stack
        .operator
        .post::<serde_json::Value>(&path, &body)
        .await
        .unwrap_err();
    assert_eq!(refused.code, "recovery_key");
    assert!(!refused.message.contains("abandon"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_address_puts_words_on_a_page() {
    let stack = Stack::start().await;
    let mut browser = Browser::new(&stack, None);
    let lie =
        r#"{"kind":"refused","message":{"field":null,"message":"Call 0123 to have your account unlocked"}}"#;
    let lie = URL_SAFE.encode(lie);
    for form in ["sign_in", "create_tenant"] {
        let (page, _) = browser
            .get(&format!(
                "/sign-in?__path=%2Fconsole%2Ffn%2F{form}&__err={lie}&email=typed"
            ))
            .await;
        assert!(
            !page.contains("Call 0123") && !page.contains("value=\"typed\""),
            "{page}"
        );
    }
    // A cookie that this server did not seal says nothing either.
    browser.cookies.insert("holdfast_form".to_owned(), lie);
    let (page, _) = browser.get("/sign-in").await;
    assert!(!page.contains("Call 0123"), "{page}");
    // What the framework itself refuses is told in words of the console, once, and its address is clean.
    let mut browser = Browser::new(&stack, None);
    let to = browser
        .post("sign_in", "/sign-in?next=%2Ft", &[("email", EMAIL)])
        .await;
    assert_eq!(to, "/sign-in?next=%2Ft");
    let (page, _) = browser.get(&to).await;
    assert!(page.contains("The form did not arrive whole."), "{page}");
    // A form is posted, never sent in an address.
    let (page, _) = browser.get("/sign-in").await;
    let form = page.split("<form").nth(1).unwrap().split('>').next().unwrap();
    assert!(form.contains("method=\"post\""), "{form}");
    let sent = browser
        .http
        .get(format!("{}/console/fn/sign_in?email=a&password=b", stack.url))
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_client_error(), "{}", sent.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_out_comes_back_to_the_form() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let tenant = site.tenant.to_string();
    let mut browser = Browser::new(&stack, None);
    let here = format!("/tenants/{tenant}/sources/new");
    let fields = [
        ("tenant", tenant.as_str()),
        ("agent_id", &site.source.agent_id.to_string()),
        ("name", "Typed while the session ended"),
        ("paths", "/srv"),
        ("every", "manual"),
        ("time_zone", "UTC"),
    ];
    let to = browser.post("create_source", &here, &fields).await;
    assert!(to.starts_with("/sign-in?next="), "{to}");
    let (page, _) = browser.get(&to).await;
    assert!(page.contains("Sign in to go on"), "{page}");
    let back = browser
        .post(
            "sign_in",
            &to,
            &[
                ("email", EMAIL),
                ("password", crate::support::PASSWORD),
                ("next", &here),
            ],
        )
        .await;
    assert_eq!(back, here);
    let (page, _) = browser.get(&back).await;
    assert!(page.contains("value=\"Typed while the session ended\""), "{page}");
    assert!(!page.contains("session has ended"), "{page}");
    // A page that needs a session leads to the sign-in page and back.
    let (_, to) = Browser::new(&stack, None).get(&here).await;
    let to = to.unwrap().replace("%2F", "/").replace("%5F", "_");
    assert_eq!(to, format!("/sign-in?next={here}"));
}

/// What is understood of a schedule shows with no JavaScript: the form is sent to be looked at, and makes no source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_looked_at_before_the_source_is_made() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let tenant = site.tenant.to_string();
    let agent = site.source.agent_id.to_string();
    let mut browser = Browser::new(&stack, Some(stack.operator.cookie()));
    let here = format!("/tenants/{tenant}/sources/new");
    assert!(browser.get(&here).await.0.contains("Show the next runs"));
    let fields = |line: &'static str, zone: &'static str, look: &'static str| {
        vec![
            ("tenant", tenant.clone()),
            ("agent_id", agent.clone()),
            ("name", "From crontab".to_owned()),
            ("paths", "/srv".to_owned()),
            ("every", "cron".to_owned()),
            ("line", line.to_owned()),
            ("time_zone", zone.to_owned()),
            ("look", look.to_owned()),
        ]
    };
    let mut shown = Vec::new();
    for (line, zone, look) in [
        ("0 12 */2 * 1", "Europe/Berlin", "true"),
        ("0 22-4 * * *", "UTC", "true"),
        ("*/70 * * * *", "UTC", "false"),
        ("0 22 * * *", "localtime", "false"),
        ("0 12 */2 * 1", "Europe/Berlin", "false"),
    ] {
        let fields = fields(line, zone, look);
        let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let to = browser.post("create_source", &here, &fields).await;
        shown.push((to.clone(), browser.get(&to).await.0));
    }
    let words = "At 12:00 on days 1, 3, 5 … 31 of the month, but only if that is a Mon (Europe/Berlin)";
    let [looked, backwards, step, zone, made] = shown.try_into().unwrap();
    assert_eq!(looked.0, here);
    assert!(looked.1.contains(words), "{}", looked.1);
    assert_eq!(looked.1.matches(", 12:00 CE").count(), 5, "{}", looked.1);
    assert!(looked.1.contains("value=\"From crontab\""), "{}", looked.1);
    assert!(backwards.1.contains("write 22-23,0-4"), "{}", backwards.1);
    assert!(step.1.contains("which goes from 0 to 59"), "{}", step.1);
    assert!(zone.1.contains("is not a time zone"), "{}", zone.1);
    // Only the last one made a source; its card says the same.
    assert_eq!(made.0, format!("/tenants/{tenant}"));
    assert!(made.1.contains(words), "{}", made.1);
    assert_eq!(made.1.matches(">From crontab<").count(), 1, "{}", made.1);
    assert_eq!(made.1.matches(", 12:00 CE").count(), 5, "{}", made.1);
}

/// A run is given up on its page, with no JavaScript; when it is too late, the page says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_cancelled_on_its_page() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let run = site.client().start_run(site.source.id).await.unwrap().run_id;
    let page = format!("/tenants/{}/runs/{run}", site.tenant);
    let mut browser = Browser::new(&stack, Some(stack.operator.cookie()));
    assert!(browser.get(&page).await.0.contains("Cancel the run"));
    let fields = [("tenant", site.tenant.to_string()), ("run", run.to_string())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert!(browser.post("cancel_run", &page, &fields).await.ends_with(&page));
    let (shown, _) = browser.get(&page).await;
    assert!(shown.contains("Cancelled by operator@example.test."));
    assert!(!shown.contains("Cancel the run"));
    assert!(browser.post("cancel_run", &page, &fields).await.ends_with(&page));
    assert!(browser.get(&page).await.0.contains("This run has ended already."));
}

/// The boxes of a source's form come back as they were ticked, and count when it is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sources_boxes_work_without_javascript() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let (tenant, agent) = (site.tenant.to_string(), site.source.agent_id.to_string());
    let mut browser = Browser::new(&stack, Some(stack.operator.cookie()));
    let page = format!("/tenants/{tenant}/sources/new");
    let mut fields = vec![
        ("tenant", tenant.as_str()),
        ("agent_id", &agent),
        ("name", "boxes"),
        ("paths", "not absolute"),
        ("one_file_system", "true"),
        ("unstable_inodes", "true"),
        ("every", "manual"),
        ("time_zone", "UTC"),
    ];
    assert_eq!(browser.post("create_source", &page, &fields).await, page);
    let (html, _) = browser.get(&page).await;
    for (name, is_ticked) in [
        ("one_file_system", true),
        ("include_network_mounts", false),
        ("unstable_inodes", true),
    ] {
        let begin = html.find(&format!("name=\"{name}\"")).unwrap();
        let input = &html[begin..begin + html[begin..].find('>').unwrap()];
        assert_eq!(input.contains("checked"), is_ticked, "{input}");
    }
    assert!(html.contains("mail stores"), "the warning beside it");
    fields[3].1 = "/srv";
    assert_eq!(
        browser.post("create_source", &page, &fields).await,
        format!("/tenants/{tenant}")
    );
    let overview: TenantOverview = stack.of_tenant(&site, "/overview").await;
    let options = &overview
        .sources
        .iter()
        .find(|source| source.name == "boxes")
        .unwrap()
        .options;
    assert!(options.one_file_system && options.unstable_inodes && options.leave_out_network_mounts);
}
