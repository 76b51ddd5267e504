//! Tokens by which a service calls others on a person's behalf. They say what the person's own token says, and what the person's roles
//! in this service imply in others. Only the service is given them, so nobody does there by themselves what only it does for them.

use std::collections::BTreeSet;

use axum::http::Method;
use easycode_contract::{
    delegation::{Actor, Delegation},
    runtime::USER_AUDIENCE,
};
use easycode_kit::{App, Caller, Problem};
use jsonwebtoken::get_current_timestamp;
use serde::Serialize;

use crate::{realm::Shared, roles};

/// Longest time that one counts, in seconds; none counts for longer than the person's own token.
const LONGEST: u64 = 5 * 60;
/// The same while not all services have told their roles: some may be missing, and are not to be missed for long.
const INCOMPLETE: u64 = 30;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    tenant: &'a str,
    tenant_uid: &'a str,
    roles: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    act: Actor,
    iat: u64,
    exp: u64,
}

/// Gives a service a token for others, for the person whose token it was shown.
pub async fn give(app: &App, service: &str, token: &str) -> Result<Delegation, Problem> {
    // Nothing is written for it, so it may also be asked for while the tenant's data is being moved.
    let person = Caller::by_token(token, &Method::GET, app).await.map_err(|problem| match problem.status {
        401 => Problem::invalid(format!("subjectToken: {}", problem.detail)),
        _ => problem,
    })?;
    if !person.context.allows(service) {
        return Err(Problem::forbidden("not-entitled", format!("the tenant is not entitled to {service}")));
    }
    let catalogue = Shared::of(app).catalogues.of(app, &person.context).await;
    if !catalogue.contains_key(service) {
        return Err(Problem::unavailable(format!("{service} does not tell its roles right now; try again")));
    }
    let longest = if roles::is_complete(&person.context, &catalogue) { LONGEST } else { INCOMPLETE };
    let issuer = app.config.user_service.as_deref().ok_or_else(Problem::internal)?;
    let now = get_current_timestamp();
    let exp = expiry(now, longest, person.expires);
    let implied = roles::implied(&person.context, &catalogue, service, &person.roles);
    let claims = Claims {
        iss: issuer,
        aud: USER_AUDIENCE,
        sub: &person.subject,
        tenant: &person.tenant,
        tenant_uid: &person.context.uid,
        roles: person.roles.iter().cloned().chain(implied).collect(),
        sid: person.own_session(),
        act: Actor { sub: service.to_owned(), act: person.actor.clone().map(Box::new) },
        iat: now,
        exp,
    };
    Ok(Delegation { access_token: Shared::of(app).keys.sign(&claims)?, expires_in: exp.saturating_sub(now) })
}

/// When it expires: after the longest time, or with the person's own token. What is no time at all comes out as long over.
// A time that doesn't fit is saturated.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn expiry(now: u64, longest: u64, own: f64) -> u64 {
    (now + longest).min(own as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delegation_outlives_neither_its_bound_nor_the_persons_token() {
        assert_eq!(expiry(1_000, LONGEST, 9_999.0), 1_300);
        assert_eq!(expiry(1_000, INCOMPLETE, 9_999.0), 1_030);
        assert_eq!(expiry(1_000, LONGEST, 1_010.9), 1_010);
        assert_eq!(expiry(1_000, LONGEST, f64::INFINITY), 1_300);
        assert_eq!([f64::NAN, -1.0].map(|own| expiry(1_000, LONGEST, own)), [0, 0]);
    }

    #[test]
    fn who_acts_for_whom_is_in_the_token() {
        let pos = Actor { sub: "pos".to_owned(), act: None };
        let claims = Claims {
            iss: "i",
            aud: "a",
            sub: "ada",
            tenant: "aurora",
            tenant_uid: "a",
            roles: BTreeSet::new(),
            sid: None,
            act: Actor { sub: "inventory".to_owned(), act: Some(Box::new(pos)) },
            iat: 0,
            exp: 1,
        };
        let claims = serde_json::to_value(claims).unwrap();
        assert_eq!(claims["act"], serde_json::json!({ "sub": "inventory", "act": { "sub": "pos" } }));
        assert!(claims.get("sid").is_none());
    }
}
