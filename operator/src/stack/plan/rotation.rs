//! When the credentials of a login are renewed, and how far a renewal is.
//!
//! A service has two logins that take turns. The next one is opened with a new password and put into the service's Secret;
//! the one before goes on to work until every pod has read that, and is closed then. All that is remembered is in the
//! Secret and in Postgres, so a renewal goes on wherever the operator was stopped.

use std::time::Duration;

use jiff::Timestamp;

use super::{super::blueprint::Rotation, secrets::Kept};
use crate::kubernetes::labels;

/// From when a Secret is changed until every pod uses what is in it: the kubelet looks after at most 90 seconds, the service
/// every five.
const SPREAD: Duration = Duration::from_mins(3);
/// How long sessions of the login before are waited for. Closing it ends none of them.
const LONGEST: Duration = Duration::from_hours(1);

/// What is to be done for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Open the login that is not in use, and put it into the Secret.
    Open,
    /// Let the pods go over to it.
    Wait,
    /// Close the login that is no longer in use.
    Close,
}

/// Whether a login is to have new credentials.
#[must_use]
pub fn is_due(rotation: &Rotation, kept: &Kept, now: Timestamp) -> bool {
    let served = kept.annotations.get(labels::ROTATE_CREDENTIALS);
    let requested = rotation.requested.is_some() && rotation.requested.as_ref() != served;
    requested || rotation.every.is_some_and(|every| since(kept).is_some_and(|since| now >= since + every))
}

/// Since when the Secret holds what it holds.
#[must_use]
pub fn since(kept: &Kept) -> Option<Timestamp> {
    kept.time(labels::ROTATED).or(kept.created)
}

/// When a schedule asks for new credentials next.
#[must_use]
pub fn next_due(rotation: &Rotation, kept: &Kept) -> Option<Timestamp> {
    Some(since(kept)? + rotation.every?)
}

/// The next step for a service. `other_sessions` are those of the login that is not in the Secret, if that is open.
#[must_use]
pub fn next(rotation: &Rotation, kept: &Kept, other_sessions: Option<i64>, now: Timestamp) -> Step {
    match other_sessions {
        None if is_due(rotation, kept, now) => Step::Open,
        None => Step::Rest,
        Some(sessions) => {
            let since = since(kept).unwrap_or(Timestamp::UNIX_EPOCH);
            if now >= since + LONGEST || (now >= since + SPREAD && sessions == 0) { Step::Close } else { Step::Wait }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn rotated(seconds: i64, served: Option<&str>) -> Kept {
        let served = served.map(|value| (labels::ROTATE_CREDENTIALS, value.to_owned()));
        let rotated = [(labels::ROTATED, at(seconds).to_string())];
        Kept::new([("password", "p".to_owned())], rotated.into_iter().chain(served))
    }

    fn requested(value: &str) -> Rotation {
        Rotation { requested: Some(value.to_owned()), every: None }
    }

    #[test]
    fn a_request_is_served_once() {
        assert_eq!(next(&requested("b"), &rotated(0, Some("a")), None, at(1)), Step::Open);
        assert_eq!(next(&requested("b"), &rotated(0, Some("b")), None, at(1)), Step::Rest);
        assert_eq!(next(&Rotation::default(), &rotated(0, Some("b")), None, at(1)), Step::Rest);
    }

    #[test]
    fn a_schedule_counts_from_the_last_time_or_from_the_beginning() {
        let hourly = Rotation { requested: None, every: Some(Duration::from_hours(1)) };
        assert_eq!(next(&hourly, &rotated(100, None), None, at(3_699)), Step::Rest);
        assert_eq!(next(&hourly, &rotated(100, None), None, at(3_700)), Step::Open);
        assert_eq!(next_due(&hourly, &rotated(100, None)), Some(at(3_700)));
        let fresh = Kept { created: Some(at(200)), ..Kept::default() };
        assert_eq!(next(&hourly, &fresh, None, at(3_799)), Step::Rest);
        assert_eq!(next(&hourly, &fresh, None, at(3_800)), Step::Open);
    }

    #[test]
    fn the_login_before_is_closed_when_pods_had_time_to_go_over_and_did() {
        let rotation = requested("b");
        let kept = rotated(0, Some("b"));
        assert_eq!(next(&rotation, &kept, Some(0), at(179)), Step::Wait);
        assert_eq!(next(&rotation, &kept, Some(3), at(180)), Step::Wait);
        assert_eq!(next(&rotation, &kept, Some(0), at(180)), Step::Close);
        assert_eq!(next(&rotation, &kept, Some(3), at(3_600)), Step::Close);
    }

    #[test]
    fn a_renewal_that_is_under_way_ends_before_the_next_begins() {
        assert_eq!(next(&requested("c"), &rotated(0, Some("b")), Some(0), at(10)), Step::Wait);
        // Opened, and then the operator was stopped: nobody knows its password.
        assert_eq!(next(&requested("b"), &rotated(0, Some("a")), Some(0), at(1_000)), Step::Close);
    }
}
