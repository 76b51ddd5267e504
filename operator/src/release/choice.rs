//! Which release an instance is to run: that of the version in its spec, or of the one that its channel offers.

use std::sync::Arc;

use easycode_crds::{Release, ReleaseChannel, instance::ReleaseRef};
use kube::ResourceExt;

/// Why an instance has no release to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// A sentence with the way out.
    pub message: String,
}

/// The release of a version. Should several have it, the one that was made first counts, so that none takes the place of another
/// that is in use.
pub fn of_version(version: &str, releases: &[Arc<Release>]) -> Option<Arc<Release>> {
    let found = releases.iter().filter(|release| release.spec.version == version);
    // One that is in a file only is not made yet.
    let made = |release: &Arc<Release>| {
        let at = release.creation_timestamp().map(|time| time.0);
        (at.is_none(), at, release.name_any())
    };
    found.min_by_key(|release| made(release)).map(Arc::clone)
}

/// The release that is wanted.
pub fn choose(
    wanted: &ReleaseRef,
    channels: &[Arc<ReleaseChannel>],
    releases: &[Arc<Release>],
) -> Result<Arc<Release>, Missing> {
    let missing = |message| Err(Missing { message });
    let (version, field) = match (&wanted.channel, &wanted.version) {
        (Some(name), _) => match channels.iter().find(|channel| channel.name_any() == *name) {
            Some(channel) => (channel.spec.version.as_str(), format!("spec.version of ReleaseChannel {name}")),
            None => {
                return missing(format!(
                    "ReleaseChannel {name} does not exist; create it, or name another in spec.release.channel"
                ));
            }
        },
        (None, Some(version)) => (version.as_str(), "spec.release.version".to_owned()),
        (None, None) => {
            return missing(
                "spec.release names neither a channel to follow nor a version to stay on; name one".to_owned(),
            );
        }
    };
    of_version(version, releases)
        .map_or_else(|| missing(format!("no Release has version {version}; create it, or name another in {field}")), Ok)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn release(name: &str, version: &str, made: &str) -> Arc<Release> {
        let mut release = Release::new(name, from_value(json!({ "version": version, "services": [] })).unwrap());
        release.metadata.creation_timestamp = Some(from_value(json!(made)).unwrap());
        Arc::new(release)
    }

    fn chosen(wanted: &serde_json::Value) -> Result<String, String> {
        let channel = |name: &str, version: &str| {
            Arc::new(ReleaseChannel::new(name, from_value(json!({ "version": version })).unwrap()))
        };
        let channels = [channel("stable", "1.0.0"), channel("next", "9.0.0")];
        let releases = [
            release("later", "1.0.0", "2026-11-02T00:00:00Z"),
            release("first", "1.0.0", "2026-11-01T00:00:00Z"),
            release("other", "2.0.0", "2026-10-01T00:00:00Z"),
        ];
        choose(&from_value(wanted.clone()).unwrap(), &channels, &releases)
            .map(|release| release.name_any())
            .map_err(|missing| missing.message)
    }

    #[test]
    fn a_version_is_that_of_the_first_release_that_had_it() {
        assert_eq!(chosen(&json!({ "version": "2.0.0" })).as_deref(), Ok("other"));
        assert_eq!(chosen(&json!({ "version": "1.0.0" })).as_deref(), Ok("first"));
        let missing = chosen(&json!({ "version": "3.0.0" })).unwrap_err();
        assert!(
            missing.contains("no Release has version 3.0.0") && missing.contains("spec.release.version"),
            "{missing}"
        );
    }

    #[test]
    fn a_channel_stands_for_the_version_that_it_offers() {
        assert_eq!(chosen(&json!({ "channel": "stable" })).as_deref(), Ok("first"));
        let missing = chosen(&json!({ "channel": "next" })).unwrap_err();
        assert!(missing.contains("9.0.0") && missing.contains("of ReleaseChannel next"), "{missing}");
        let missing = chosen(&json!({ "channel": "beta" })).unwrap_err();
        assert!(missing.contains("ReleaseChannel beta does not exist"), "{missing}");
    }
}
