//! Secrets that are handed out once: the tokens of sessions and of invitations. Only hashes of them are kept. Each names the tenant,
//! whose schema it is to be looked up in.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_contract::database::{Identifier, MAX_TENANT_NAME};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

const ID: usize = 16;
const PART: usize = 32;

/// A text that is not to be seen in any log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, to be sent to whom it belongs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What is kept of a secret. A hash without salt is enough for what is random.
pub type Hash = [u8; 32];

/// The token by which a session goes on.
pub struct SessionToken {
    /// The session.
    pub session: Uuid,
    /// The tenant.
    pub tenant: String,
    /// Stays the same as long as the session lives.
    family: [u8; PART],
    /// Another one at each use.
    turn: [u8; PART],
}

impl SessionToken {
    /// That of a new session.
    #[must_use]
    pub fn new(tenant: &str) -> Self {
        Self { session: Uuid::now_v7(), tenant: tenant.to_owned(), family: rand::random(), turn: rand::random() }
    }

    /// The one after it, of the same session.
    #[must_use]
    pub fn next(self) -> Self {
        Self { turn: rand::random(), ..self }
    }

    /// Hash of what stays.
    #[must_use]
    pub fn family_hash(&self) -> Hash {
        Sha256::digest(self.family).into()
    }

    /// Hash of what is new each time.
    #[must_use]
    pub fn turn_hash(&self) -> Hash {
        Sha256::digest(self.turn).into()
    }

    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Secret {
        Secret(encode(&[self.session.as_bytes(), &self.family, &self.turn, self.tenant.as_bytes()]))
    }

    /// Reads what was sent.
    #[must_use]
    pub fn decode(token: &Secret) -> Option<Self> {
        let (bytes, tenant) = decode(token, ID + 2 * PART)?;
        let (session, parts) = bytes.split_at(ID);
        let (family, turn) = parts.split_at(PART);
        Some(Self {
            session: Uuid::from_slice(session).ok()?,
            tenant,
            family: family.try_into().ok()?,
            turn: turn.try_into().ok()?,
        })
    }
}

/// The token of an invitation.
pub struct InvitationToken {
    /// The tenant.
    pub tenant: String,
    random: [u8; PART],
}

impl InvitationToken {
    /// A new one.
    #[must_use]
    pub fn new(tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), random: rand::random() }
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Sha256::digest(self.random).into()
    }

    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Secret {
        Secret(encode(&[&self.random, self.tenant.as_bytes()]))
    }

    /// Reads what was sent.
    #[must_use]
    pub fn decode(token: &Secret) -> Option<Self> {
        let (bytes, tenant) = decode(token, PART)?;
        Some(Self { tenant, random: bytes.try_into().ok()? })
    }
}

fn encode(parts: &[&[u8]]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(parts.concat())
}

/// So many bytes, and the tenant after them.
fn decode(token: &Secret, bytes: usize) -> Option<(Vec<u8>, String)> {
    // Base64 takes four characters for three bytes.
    if token.0.len() > (bytes + MAX_TENANT_NAME) * 4 / 3 + 1 {
        return None;
    }
    let all = BASE64_URL_SAFE_NO_PAD.decode(&token.0).ok()?;
    let (secret, tenant) = all.split_at_checked(bytes)?;
    let tenant = std::str::from_utf8(tenant).ok()?;
    Identifier::tenant(tenant).is_ok().then(|| (secret.to_vec(), tenant.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_nothing_else_is() {
        let longest = "a".repeat(MAX_TENANT_NAME);
        for tenant in ["aurora", &longest] {
            let token = SessionToken::new(tenant);
            let read = SessionToken::decode(&token.encode()).unwrap();
            assert_eq!((read.session, read.tenant.as_str()), (token.session, tenant));
            assert_eq!((read.family_hash(), read.turn_hash()), (token.family_hash(), token.turn_hash()));
            let next = read.next();
            assert_eq!(next.family_hash(), token.family_hash());
            assert_ne!(next.turn_hash(), token.turn_hash());
            let invitation = InvitationToken::new(tenant);
            let read = InvitationToken::decode(&invitation.encode()).unwrap();
            assert_eq!((read.hash(), read.tenant.as_str()), (invitation.hash(), tenant));
        }
        for bad in [String::new(), "x".repeat(40), "=".to_owned(), "A".repeat(100_000)] {
            assert!(SessionToken::decode(&Secret(bad.clone())).is_none());
            assert!(InvitationToken::decode(&Secret(bad)).is_none());
        }
        let foreign = Secret(encode(&[&[0; PART], b"t_x; DROP"]));
        assert!(InvitationToken::decode(&foreign).is_none(), "no tenant has such a name");
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        assert_eq!(format!("{:?}", Secret("abc".to_owned())), "(hidden)");
    }
}
