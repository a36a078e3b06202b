//! Where a command asks: the service that the environment names, and what is meant by a session.

use serde_json::Value;

use crate::app::environment::Environment;
use crate::app::fault::Fault;
use crate::call::command::Conflict;
use crate::port::rest_local::{ApiClient, ApiError, segment};

/// The session that is meant when none is named.
pub(super) const CURRENT: &str = "current";

/// For programs instead of people.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Output {
    /// Print the API's own JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A client of the service.
pub(super) fn client() -> Result<ApiClient, Fault> {
    let environment = Environment::read()?;
    Ok(ApiClient::new(environment.client_base(), environment.api_token.clone()))
}

/// The path of a session, or of what is below it.
pub(super) fn session_path(id: &str, below: &str) -> String {
    format!("/v1/calls/{}{below}", segment(id))
}

/// What the service says when there is no call to do it with is told apart from every other refusal.
pub(super) fn of_session<T>(id: &str, answer: Result<T, ApiError>) -> Result<T, Fault> {
    answer.map_err(|error| match &error {
        ApiError::Refused { status: 404, .. }
        | ApiError::Refused { reason: Some(Conflict::NoActiveCall), .. }
            if id == CURRENT =>
        {
            no_call()
        }
        ApiError::Refused { reason: Some(Conflict::NoActiveCall), .. } => {
            Fault::NoCall(format!("{id} has ended"))
        }
        ApiError::Refused { reason: Some(Conflict::NothingToAnswer), .. } => {
            Fault::NoCall("nothing rings: there is nothing to answer".into())
        }
        ApiError::Unreachable { .. } | ApiError::Refused { .. } | ApiError::Answer(_) => error.into(),
    })
}

fn no_call() -> Fault {
    Fault::NoCall("no active call; `callscoot calls` lists those that were".into())
}

/// The id of the current call.
pub(super) fn current_id(client: &ApiClient) -> Result<String, Fault> {
    let body = client.get("/v1/current-call")?;
    body["current_call"]["id"].as_str().map(ToOwned::to_owned).ok_or_else(no_call)
}

/// The meta of a session is the object itself in lists, and a member in the whole session.
pub(super) fn unix_ms(meta: &Value, name: &str) -> Option<i64> {
    meta[format!("{name}_ms")].as_i64()
}
