//! A lost answer to an enrollment: asked again with the same signing key it is the same agent.

use agent::client::{Client, ClientError};
use shared::{
    api::{
        agent::{EnrollRequest, EnrollResponse, EnrollmentQuery},
        request::NewEnrollmentToken,
        view::EnrollmentTokenView,
    },
    schedule::Schedule,
};

use crate::support::{Site, Stack};

async fn token(stack: &Stack, site: &Site) -> String {
    let request = NewEnrollmentToken {
        backup_set_id: site.set.id,
    };
    let path = format!("/tenants/{}/enrollment-tokens", site.tenant);
    let token: EnrollmentTokenView = stack.operator.post(&path, &request).await.unwrap();
    token.token
}

async fn enroll(stack: &Stack, token: &str, seed: u8) -> Result<EnrollResponse, ClientError> {
    let key = repository::identity::AgentSigningKey::from_seed([seed; 32]);
    let request = EnrollRequest {
        token: token.to_owned(),
        hostname: "laptop".into(),
        os: "linux".into(),
        agent_version: "1".into(),
        signing_key: key.public().to_hex(),
    };
    Client::anonymous(&stack.url).unwrap().enroll(&request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_asks_again_is_the_same_agent() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let token = token(&stack, &site).await;
    let agents = async || stack.query("SELECT 1 FROM agents").await.len();
    let before = agents().await;
    let first = enroll(&stack, &token, 1).await.unwrap();
    // The answer is lost: the agent looks at the offer again, and asks again.
    let client = Client::anonymous(&stack.url).unwrap();
    let query = EnrollmentQuery { token: token.clone() };
    client.enrollment(&query).await.unwrap();
    let (second, third) = tokio::join!(enroll(&stack, &token, 1), enroll(&stack, &token, 1));
    for again in [second.unwrap(), third.unwrap()] {
        assert_eq!(again.agent_id, first.agent_id);
        assert_eq!(again.credential, first.credential);
        assert_eq!(again.commit_key, first.commit_key);
    }
    assert_eq!(agents().await, before + 1, "a ghost");
    // Nobody else may use the token.
    let refused = enroll(&stack, &token, 2).await.err().unwrap();
    assert!(refused.to_string().contains("another endpoint"), "{refused}");
    // The credential is the agent's; from its first call on the token is worth nothing, not even with the same key.
    let request = reqwest::Client::new().get(format!("{}/api/agent/v1/sources", stack.url));
    let answer = request.bearer_auth(&first.credential).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for seed in [1, 2] {
        let refused = enroll(&stack, &token, seed).await.err().unwrap();
        assert!(
            matches!(&refused, ClientError::Refused { code, .. } if code == "enrollment_token"),
            "{refused}"
        );
    }
    assert_eq!(agents().await, before + 1);
}
