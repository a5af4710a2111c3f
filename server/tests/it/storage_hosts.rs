//! What an agent learns at enrollment is where the server's addresses really lead, and they are signed with the headers that an
//! agent sends.

use shared::{
    api::{
        agent::{EnrollmentQuery, UPLOAD_HEADERS, UploadTicket},
        request::NewEnrollmentToken,
        view::EnrollmentTokenView,
    },
    schedule::Schedule,
};

use crate::support::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_lead_where_the_offer_says_with_the_headers_of_an_upload() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let token: EnrollmentTokenView = stack
        .operator
        .post(
            &format!("/tenants/{}/enrollment-tokens", site.tenant),
            &NewEnrollmentToken {
                backup_set_id: site.set.id,
            },
        )
        .await
        .unwrap();
    // The token is no argument of the command that is shown.
    let (command, pasted) = token.command.split_once(" <<'TOKEN'\n").unwrap();
    assert!(
        command.starts_with("holdfast-agent enroll ") && !command.contains(&token.token),
        "{command}"
    );
    assert_eq!(pasted, format!("{}\nTOKEN\n", token.token));

    let query = EnrollmentQuery { token: token.token };
    let offer = agent::client::Client::anonymous(&stack.url)
        .unwrap()
        .enrollment(&query)
        .await
        .unwrap();
    assert_eq!(offer.storage, [stack.lockbox.endpoint()]);
    let state = agent::state::State::open(&site.state).unwrap();
    let known: Vec<String> = state
        .hosts()
        .unwrap()
        .known()
        .into_iter()
        .map(String::from)
        .collect();
    assert_eq!(known, offer.storage);

    let run = site.client().start_run(site.source.id).await.unwrap().run_id;
    let (_, ticket) = site.upload_pack(run, b"HFST").await;
    let UploadTicket::Put { url, headers, .. } = ticket else {
        panic!("{ticket:?}")
    };
    assert!(url.starts_with(&format!("{}/", offer.storage[0])), "{url}");
    for (name, _) in &headers {
        assert!(
            UPLOAD_HEADERS.contains(&name.as_str()),
            "agents refuse the header {name}"
        );
    }
}
