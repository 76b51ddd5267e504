//! The keys that user-service signs tokens with. They take turns: the next one is published long before it signs, and the one
//! before stays published until its tokens are over, so a turn refuses nobody.

use std::time::Duration;

use easycode_contract::runtime::{SIGNING_KEYS, USER_SERVICE};
use jiff::Timestamp;
use rcgen::KeyPair;

use super::{
    super::blueprint::Rotation,
    Blueprint, rotation,
    secrets::{self, Kept, Secrets},
};
use crate::kubernetes::{labels, object::Planned};

/// Name of the Secret.
pub(crate) const SECRET: &str = "signing-keys";
/// How long a key signs unless the spec says otherwise.
const TURN: Duration = Duration::from_hours(30 * 24);

/// The Secret, if the stack needs it and it is not there.
#[must_use]
pub fn made(blueprint: &Blueprint, present: &Secrets) -> Option<Planned> {
    let is_there = present.get(SECRET).is_some_and(|kept| SIGNING_KEYS.iter().all(|key| kept.text(key).is_some()));
    if is_there || !blueprint.runs(USER_SERVICE) {
        return None;
    }
    secrets::changed(
        blueprint,
        SECRET,
        "Opaque",
        &Kept::new(SIGNING_KEYS.map(|key| (key, key_pair())), secrets::served(blueprint)),
        present,
    )
}

/// The Secret after a turn, if one is due.
#[must_use]
pub fn turned(blueprint: &Blueprint, present: &Secrets, now: Timestamp) -> Option<Planned> {
    let kept = present.get(SECRET)?;
    let rotation = Rotation { every: blueprint.rotation.every.or(Some(TURN)), ..blueprint.rotation.clone() };
    if !blueprint.runs(USER_SERVICE) || !rotation::is_due(&rotation, kept, now) {
        return None;
    }
    let [previous, current, next] = SIGNING_KEYS;
    let text = |key: &str| kept.text(key).map_or_else(key_pair, str::to_owned);
    let fields = [(previous, text(current)), (current, text(next)), (next, key_pair())];
    let annotations = [(labels::ROTATED, now.to_string())].into_iter().chain(secrets::served(blueprint));
    secrets::changed(blueprint, SECRET, "Opaque", &Kept::new(fields, annotations), present)
}

/// A private key of P-256, in PEM.
fn key_pair() -> String {
    // Fails only where the system has no random numbers.
    KeyPair::generate().expect("the system gives random numbers").serialize_pem()
}
