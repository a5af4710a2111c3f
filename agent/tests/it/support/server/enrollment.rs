//! Enrollment.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use shared::{
    api::agent::{EnrollRequest, EnrollResponse, EnrollmentOffer, EnrollmentQuery},
    ids::AgentId,
};
use uuid::Uuid;

use super::{
    lies::{commit_key, said},
    state::{CREDENTIAL, Server, TOKEN, keys, refuse},
};

pub(super) async fn enrollment(State(server): State<Server>, Json(query): Json<EnrollmentQuery>) -> Response {
    let mut inner = server.lock();
    if query.token != TOKEN {
        return refuse(
            StatusCode::FORBIDDEN,
            "bad_token",
            "the token is unknown or used up",
        );
    }
    let offer = EnrollmentOffer {
        tenant_name: "Acme".into(),
        backup_set: keys(&inner),
        storage: vec![inner.address.clone()],
        expires_at: Timestamp::MAX,
    };
    Json(said(&mut inner.words.offer, offer)).into_response()
}

pub(super) async fn enroll(State(server): State<Server>, Json(request): Json<EnrollRequest>) -> Response {
    let mut inner = server.lock();
    inner.enrolled.push(request);
    let enrolled = EnrollResponse {
        agent_id: AgentId::from_uuid(Uuid::from_u128(6)),
        credential: CREDENTIAL.into(),
        commit_key: commit_key().verifying_key().to_string(),
    };
    Json(said(&mut inner.words.enrolled, enrolled)).into_response()
}
