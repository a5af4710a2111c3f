//! A copied state folder on a second machine: noticed within two polls each, and both are held.

use data_encoding::BASE64URL_NOPAD;
use jiff::SignedDuration;
use serde_json::Value;
use shared::{
    api::{
        agent::{BASE_PATH, MACHINE_HEADER},
        view::TenantAgents,
    },
    ids::SourceId,
    machines::Machine,
    schedule::Schedule,
};

use crate::support::{Site, Stack};

/// A machine with the agent's state folder.
struct Endpoint {
    url: String,
    credential: String,
    machine: Machine,
}

impl Endpoint {
    fn new(stack: &Stack, site: &Site, boot: &str, hostname: &str) -> Self {
        let state = agent::state::State::open(&site.state).unwrap();
        Self {
            url: format!("{}{BASE_PATH}", stack.url),
            credential: state.config().credential.reveal().to_owned(),
            machine: Machine {
                instance: state.config().instance_id.clone(),
                boot: boot.to_owned(),
                machine: "machine".to_owned(),
                hostname: hostname.to_owned(),
            },
        }
    }

    /// Sends a call; gives its status, and what a refusal says.
    async fn call(&self, method: reqwest::Method, path: &str) -> (u16, String) {
        let json = serde_json::to_vec(&self.machine).unwrap();
        let request = reqwest::Client::new()
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.credential)
            .header(MACHINE_HEADER, BASE64URL_NOPAD.encode(&json))
            .json(&());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let said: Value = answer.json().await.unwrap();
        let said = format!(
            "{} {}",
            said["code"].as_str().unwrap_or(""),
            said["message"].as_str().unwrap_or("")
        );
        (status, said)
    }

    async fn poll(&self) -> (u16, String) {
        self.call(reqwest::Method::GET, "/work?wait_seconds=0").await
    }

    async fn back_up(&self, source: SourceId) -> (u16, String) {
        self.call(reqwest::Method::POST, &format!("/sources/{source}/runs"))
            .await
    }
}

async fn held(stack: &Stack, site: &Site) -> Option<String> {
    let page: TenantAgents = stack.of_tenant(site, "/agents").await;
    let overview: Value = stack.of_tenant(site, "/overview").await;
    let held = page.agents[0].held.clone();
    let shown = held.as_ref().is_none_or(|why| {
        overview
            .to_string()
            .contains(why.split(':').next().unwrap_or_default())
    });
    assert!(shown, "{overview}");
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_state_folder_holds_both_machines_until_one_is_gone() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    let first = Endpoint::new(&stack, &site, "boot-1", "web-1");
    let copy = Endpoint::new(&stack, &site, "boot-2", "web-2");
    assert_eq!(first.poll().await.0, 200);
    // Rebooted and renamed: the same machine, however often.
    for nth in 0..3 {
        let rebooted = Endpoint::new(&stack, &site, &format!("boot-0{nth}"), "web-0");
        assert_eq!(rebooted.poll().await.0, 200);
    }
    // Two polls each.
    assert_eq!(first.poll().await.0, 200);
    assert_eq!(copy.poll().await.0, 200);
    assert_eq!(first.poll().await.0, 200);
    assert_eq!(held(&stack, &site).await, None);
    let (status, said) = copy.poll().await;
    assert_eq!(status, 409);
    assert!(
        said.starts_with("two_machines") && said.contains("web-1") && said.contains("web-2"),
        "{said}"
    );
    assert!(said.contains("enroll"), "{said}");
    // Neither backs up, whoever asks.
    for endpoint in [&first, &copy] {
        assert_eq!(endpoint.back_up(site.source.id).await.0, 409);
        assert_eq!(endpoint.poll().await.0, 409);
    }
    let why = held(&stack, &site).await.unwrap();
    assert!(why.contains("web-1") && why.contains("web-2"), "{why}");
    // The copy is gone: an hour later the other goes on.
    for _ in 0..4 {
        stack.advance(SignedDuration::from_mins(20)).await;
        first.poll().await;
    }
    assert_eq!(first.poll().await.0, 200);
    assert_eq!(first.back_up(site.source.id).await.0, 200);
    assert_eq!(held(&stack, &site).await, None);
}

/// The real agent says which machine it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_tells_its_machine() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    site.backup().await.unwrap();
    let rows = stack
        .query("SELECT machines->'current'->'machine'->>'hostname' AS name FROM agents")
        .await;
    let name: String = rows[0].try_get("", "name").unwrap();
    assert_eq!(name, agent::enroll::hostname());
}
