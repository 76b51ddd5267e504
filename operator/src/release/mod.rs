//! The `Release` controller: says whether a release is usable and who runs it. Beside it what stands between an instance and its
//! release: the choice by version or channel, and the controller of channels.

pub mod channel;
pub mod choice;

use std::{sync::Arc, time::Instant};

use easycode_crds::{
    DedicatedInstance, Release, ReleaseStatus, SharedPlatform,
    conditions::{self, Finding, reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, runtime::controller::Action};

use crate::{
    kubernetes,
    runtime::{context::Context, error::Error},
};

/// Reports on one release. Its spec can't change and the definition has checked it, so there is nothing to make.
pub async fn reconcile(release: Arc<Release>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let before = release.status.clone().unwrap_or_default();
    let findings =
        [Finding::new(conditions::READY, Some(true), reason::AS_PLANNED, "can be named by a platform or an instance")];
    let after = ReleaseStatus {
        observed_generation: release.metadata.generation,
        conditions: conditions::merge(
            &before.conditions,
            &findings,
            release.metadata.generation,
            &Time(Timestamp::now()),
        ),
        platforms: users(&release, &context),
    };
    if release.status.as_ref() != Some(&after) {
        kubernetes::status::replace(&*release, &after, None, &context.client).await?;
    }
    context.metrics.reconciled("release", "ok", started.elapsed());
    Ok(Action::requeue(context.options.resync_interval()))
}

/// How many platforms and instances run the release, or are to run it.
fn users(release: &Release, context: &Context) -> i32 {
    let name = release.name_any();
    let runs_it =
        |platform: &SharedPlatform| platform.spec.release == name && platform.metadata.deletion_timestamp.is_none();
    let (channels, releases) = (context.channels.state(), context.releases.state());
    let dedicated = |instance: &DedicatedInstance| {
        let runs = instance.status.as_ref().and_then(|status| status.release.as_ref()) == Some(&name);
        let wanted = choice::choose(&instance.spec.release, &channels, &releases);
        let wants = wanted.is_ok_and(|one| one.name_any() == name);
        (runs || wants) && instance.metadata.deletion_timestamp.is_none()
    };
    let users = context.platforms.state_filter(runs_it).len() + context.instances.state_filter(dedicated).len();
    i32::try_from(users).unwrap_or(i32::MAX)
}

/// Reconciles the releases and channels whose status does not say what is any more: no watch tells of what is deleted.
pub fn trigger_outdated(context: &Context) {
    for release in context.releases.state() {
        let told = release.status.as_ref().map(|status| status.platforms);
        if told != Some(users(&release, context)) {
            context.triggers.release(&release.name_any());
        }
    }
    for channel in context.channels.state() {
        let told = channel.status.as_ref().map(|status| (status.release.clone(), status.instances));
        if told != Some(channel::standing(&channel, context)) {
            context.triggers.channel(&channel.name_any());
        }
    }
}
