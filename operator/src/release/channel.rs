//! The `ReleaseChannel` controller: says whether there is a release of the version, and who follows. What follows is brought there
//! by the controller of instances.

use std::{sync::Arc, time::Instant};

use easycode_crds::{
    ReleaseChannel, ReleaseChannelStatus,
    conditions::{self, Finding, reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, runtime::controller::Action};

use super::choice;
use crate::{
    kubernetes,
    runtime::{context::Context, error::Error},
};

/// Reports on one channel.
pub async fn reconcile(channel: Arc<ReleaseChannel>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let version = &channel.spec.version;
    let (release, instances) = standing(&channel, &context);
    let finding = if let Some(release) = &release {
        let message = format!("instances that follow it are brought to Release {release} in their windows");
        Finding::new(conditions::READY, Some(true), reason::AS_PLANNED, message)
    } else {
        let message = format!(
            "no Release has version {version}; create it, or offer another in spec.version; instances stay on what they run"
        );
        Finding::new(conditions::READY, Some(false), reason::RELEASE_NOT_FOUND, message)
    };
    let (before, generation) = (channel.status.clone().unwrap_or_default(), channel.metadata.generation);
    let known = before.conditions.iter().find(|one| one.type_ == finding.type_);
    if finding.status == Some(false) && known.is_none_or(|known| known.message != finding.message) {
        context.events.warning(&*channel, "Reconcile", finding.reason, finding.message.clone()).await;
    }
    let now = Time(Timestamp::now());
    let after = ReleaseChannelStatus {
        observed_generation: generation,
        conditions: conditions::merge(&before.conditions, &[finding], generation, &now),
        release,
        instances,
    };
    if channel.status.as_ref() != Some(&after) {
        kubernetes::status::replace(&*channel, &after, None, &context.client).await?;
    }
    context.metrics.reconciled("channel", "ok", started.elapsed());
    Ok(Action::requeue(context.options.resync_interval()))
}

/// Name of the release of the channel's version, and how many instances follow.
pub(super) fn standing(channel: &ReleaseChannel, context: &Context) -> (Option<String>, i32) {
    let release = choice::of_version(&channel.spec.version, &context.releases.state());
    let followers = context.followers(&channel.name_any()).len();
    (release.map(|release| release.name_any()), i32::try_from(followers).unwrap_or(i32::MAX))
}
