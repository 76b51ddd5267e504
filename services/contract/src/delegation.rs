//! Delegations: a service that calls others on a person's behalf has user-service exchange the person's token for one that says
//! what this service takes there, too. After RFC 8693, but as JSON and between services alone.

use serde::{Deserialize, Serialize};

/// Path at user-service; whoever asks bears its own service account's token.
pub const DELEGATIONS_PATH: &str = "/internal/v1/delegations";

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// The person's token, as the service was shown it.
    pub subject_token: String,
}

/// What is given.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delegation {
    /// A token of the same person, for other services.
    pub access_token: String,
    /// Seconds that it counts.
    pub expires_in: u64,
}

/// Who acts for a person, as `act` in a token says it: the service that was given it, and whoever had acted before that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The service.
    pub sub: String,
    /// Who had acted before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}
