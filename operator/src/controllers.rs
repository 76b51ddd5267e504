//! Wires the controllers together: which changes reconcile what, how many at once, and when all of it stops.

use std::{future::Future, sync::Arc, time::Duration};

use easycode_crds::{DedicatedInstance, Release, ReleaseChannel, SharedPlatform, Tenant, conditions};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource, ResourceExt,
    runtime::{
        Config as ControllerConfig, Controller,
        controller::Action,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    audit::Ledger,
    instance,
    isolation::{self, Isolation},
    kubernetes::{
        apply::Applier,
        cache::{Caches, Triggers},
        watch::watch,
    },
    platform,
    postgres::{Database, database::in_time},
    release,
    runtime::{
        backoff::Backoff,
        context::{Context, Databases},
        error::Error,
        events::Events,
        metrics::Metrics,
        names,
        options::Options,
    },
    stack::home::Home,
    tenant::{
        self,
        placement::{Placement, placed_on},
        relocation::{self, Opened},
        unseen::Unseen,
    },
};

/// Instances reconciled at once. They mostly wait, and one whose database does not answer must not hold up the others.
const INSTANCES_AT_ONCE: u16 = 32;
/// Longest time for dropping what copies have left on one server.
const STALE_LOGINS_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs all controllers until `stop` is cancelled and what was under way is finished.
pub async fn run(
    client: Client,
    options: Options,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (platform_sender, platform_triggers) = mpsc::unbounded_channel();
    let (instance_sender, instance_triggers) = mpsc::unbounded_channel();
    let (tenant_sender, tenant_triggers) = mpsc::unbounded_channel();
    let (release_sender, release_triggers) = mpsc::unbounded_channel();
    let (channel_sender, channel_triggers) = mpsc::unbounded_channel();
    let triggers = Triggers {
        platforms: platform_sender,
        instances: instance_sender,
        tenants: tenant_sender,
        releases: release_sender,
        channels: channel_sender,
    };
    let (caches, watches) = Caches::start(&client, &triggers);
    let ledger = Arc::new(Ledger::default());
    let (tenants, tenant_changes, tenant_watch) = watch::<Tenant>(&client, Some(Arc::clone(&ledger)));
    let (platforms, platform_changes, platform_watch) = watch::<SharedPlatform>(&client, Some(Arc::clone(&ledger)));
    let (instances, instance_changes, instance_watch) = watch::<DedicatedInstance>(&client, Some(Arc::clone(&ledger)));
    let (releases, release_changes, release_watch) = watch::<Release>(&client, None);
    let (channels, channel_changes, channel_watch) = watch::<ReleaseChannel>(&client, None);
    let context = Arc::new(Context {
        applier: Applier::new(client.clone()),
        events: Events::new(client.clone(), &options.pod_name),
        placement: Placement::default(),
        ledger,
        isolation: Isolation::default(),
        opened: Opened::default(),
        unseen: Unseen::default(),
        databases: Databases::default(),
        names: names::Seen::default(),
        client,
        options: options.clone(),
        caches,
        metrics,
        triggers,
        tenants,
        platforms,
        instances,
        releases,
        channels,
    });

    let reflecting = tokio::spawn(futures::future::join5(
        tenant_watch,
        platform_watch,
        instance_watch,
        release_watch,
        channel_watch,
    ));
    warm_up(&context).await?;
    names::look(&context).await;

    let surveys = tokio::spawn(survey(Arc::clone(&context)));
    let names = tokio::spawn(names::watch(Arc::clone(&context)));
    let probes = tokio::spawn(isolation::watch(Arc::clone(&context)));
    let (tenants_at_once, stacks_at_once) = (options.tenant_concurrency, options.platform_concurrency);
    let tenants = controller(tenant_changes, &context.tenants, tenant_triggers, tenants_at_once);
    let platforms = controller(platform_changes, &context.platforms, platform_triggers, stacks_at_once);
    let instances = controller(instance_changes, &context.instances, instance_triggers, INSTANCES_AT_ONCE);
    let releases = controller(release_changes, &context.releases, release_triggers, stacks_at_once);
    let channels = controller(channel_changes, &context.channels, channel_triggers, stacks_at_once);
    futures::future::join5(
        drive(tenants, call_its_instance, tenant::reconcile, &context, stop.clone()),
        drive(platforms, call_nobody, platform::reconcile, &context, stop.clone()),
        drive(instances, call_nobody, instance::reconcile, &context, stop.clone()),
        drive(releases, call_who_names_it, release::reconcile, &context, stop.clone()),
        drive(channels, call_followers, release::channel::reconcile, &context, stop),
    )
    .await;
    info!("controllers have stopped");
    surveys.abort();
    names.abort();
    probes.abort();
    reflecting.abort();
    watches.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// A controller of the objects in the store, which reconciles what has changed and what is asked for.
fn controller<K>(
    changes: impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
    store: &Store<K>,
    triggers: mpsc::UnboundedReceiver<ObjectRef<K>>,
    at_once: u16,
) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    Controller::for_stream(changes, store.clone())
        .with_config(ControllerConfig::default().concurrency(at_once))
        .reconcile_on(UnboundedReceiverStream::new(triggers))
}

/// Nobody waits for a change of it that does not see it by itself.
fn call_nobody<K>(_: &K, _: &Context) {}

/// Which services an instance runs follows from its tenant.
fn call_its_instance(tenant: &Tenant, context: &Context) {
    let serves = |one: &DedicatedInstance| one.spec.tenant_ref.name == tenant.name_any();
    for instance in context.instances.state_filter(serves) {
        context.triggers.instance(&instance.name_any());
    }
}

/// A platform, an instance or a channel may have waited for the release.
fn call_who_names_it(release: &Release, context: &Context) {
    let version = &release.spec.version;
    for platform in context.platforms.state_filter(|one| one.spec.release == release.name_any()) {
        context.triggers.platform(&platform.name_any());
    }
    for instance in context.instances.state_filter(|one| one.spec.release.version.as_ref() == Some(version)) {
        context.triggers.instance(&instance.name_any());
    }
    for channel in context.channels.state_filter(|one| one.spec.version == *version) {
        context.triggers.channel(&channel.name_any());
    }
}

/// Instances run what their channel offers.
fn call_followers(channel: &ReleaseChannel, context: &Context) {
    for instance in context.followers(&channel.name_any()) {
        context.triggers.instance(&instance.name_any());
    }
}

/// Waits until the caches hold what there is.
async fn warm_up(context: &Context) -> anyhow::Result<()> {
    context.caches.wait_until_ready().await;
    context.tenants.wait_until_ready().await?;
    context.platforms.wait_until_ready().await?;
    context.instances.wait_until_ready().await?;
    context.releases.wait_until_ready().await?;
    context.channels.wait_until_ready().await?;
    info!(
        tenants = context.tenants.len(),
        platforms = context.platforms.len(),
        instances = context.instances.len(),
        "caches are warm"
    );
    Ok(())
}

/// Runs a controller. `call` asks others to reconcile that depend on the object.
async fn drive<K, R, F>(
    controller: Controller<K>,
    call: fn(&K, &Context),
    reconcile: R,
    context: &Arc<Context>,
    stop: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    R: Fn(Arc<K>, Arc<Context>) -> F,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let backoff = Arc::new(Backoff::default());
    let failed = Arc::clone(&backoff);
    let attempt = move |object: Arc<K>, context: Arc<Context>| {
        let (name, backoff) = (object.name_any(), Arc::clone(&backoff));
        call(&object, &context);
        reconcile(object, context).inspect(move |outcome| {
            if outcome.is_ok() {
                backoff.succeeded(&name);
            }
        })
    };
    let retry = move |object: Arc<K>, error: &Error, _: Arc<Context>| {
        let wait = failed.failed(&object.name_any());
        warn!(kind = %K::kind(&()), name = object.name_any(), %error, ?wait, "not brought to plan, retrying");
        Action::requeue(wait)
    };
    controller
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(attempt, retry, Arc::clone(context))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                debug!(%error, "controller");
            }
        })
        .await;
}

/// Looks at every platform's Postgres from time to time, since no watch tells of a change there, and reconciles whom a
/// change concerns.
async fn survey(context: Arc<Context>) {
    loop {
        tokio::time::sleep(context.options.survey_interval()).await;
        // A platform's Secrets are not watched, and a tenant that leaves a platform makes room for another.
        for home in context.homes() {
            context.triggers.home(&home);
        }
        platform::trigger_unplaced(&context);
        // Nor does a watch tell a controller of what is deleted.
        release::trigger_outdated(&context);
        let looks = context.databases.all().into_iter().map(|(home, database)| look(&context, home, database));
        futures::future::join_all(looks).await;
        measure(&context);
    }
}

/// Brings the gauges up to date with the caches.
fn measure(context: &Context) {
    let ready = |conditions: &[Condition]| {
        conditions
            .iter()
            .find(|one| one.type_ == conditions::READY)
            .map(|one| (one.status == "True", one.reason.clone()))
    };
    let tenants: Vec<_> = context
        .tenants
        .state()
        .iter()
        .map(|tenant| {
            let reason = tenant.status.as_ref().and_then(|status| ready(&status.conditions)).map(|(_, reason)| reason);
            (
                placed_on(tenant).map(|home| home.to_string()).unwrap_or_default(),
                reason.unwrap_or_else(|| "NotSeen".to_owned()),
            )
        })
        .collect();
    let platforms: Vec<_> = context
        .platforms
        .state()
        .iter()
        .map(|platform| {
            let ready = platform.status.as_ref().and_then(|status| ready(&status.conditions));
            (platform.name_any(), ready.is_some_and(|(ready, _)| ready))
        })
        .collect();
    context.metrics.standing(
        tenants.iter().map(|(platform, reason)| (platform.as_str(), reason.as_str())),
        platforms.iter().map(|(platform, ready)| (platform.as_str(), *ready)),
    );
}

/// Looks at one Postgres.
async fn look(context: &Context, home: Home, database: Arc<Database>) {
    let looked = match database.refresh().await {
        Ok(()) => {
            // No server holds up the looks at the others.
            let dropped = relocation::drop_stale_logins(&home, &database, context);
            if let Err(error) = in_time(STALE_LOGINS_TIMEOUT, dropped).await {
                warn!(%home, %error, "logins that copies have left can't be dropped yet");
            }
            database.try_room().await
        }
        unanswered => unanswered,
    };
    let trouble = looked.err();
    if context.databases.looked(&home, trouble.as_ref()) {
        context.triggers.home(&home);
        if let Some(error) = trouble {
            warn!(%home, %error, "its Postgres could not be looked at");
        } else {
            info!(%home, "its Postgres answers again");
        }
    }
    for role in database.take_changed() {
        if let Some(name) = role.strip_prefix("t_").map(|name| name.replace('_', "-"))
            && context.tenants.get(&ObjectRef::new(&name)).is_some()
        {
            info!(tenant = name, "its data in Postgres differs from what was left there");
            context.triggers.tenant(&name);
        }
    }
}
