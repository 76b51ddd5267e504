//! Wires the controllers together: which changes reconcile what, how many at once, and when all of it stops.

use std::{future::Future, sync::Arc};

use easycode_crds::{DedicatedInstance, Release, SharedPlatform, Tenant, conditions};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::object::HasSpec,
    runtime::{
        Config as ControllerConfig, Controller, Predicate, PredicateConfig, WatchStreamExt,
        controller::Action,
        predicates,
        reflector::{self, ObjectRef, ReflectHandle, Store},
        watcher,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    audit::{self, Ledger},
    instance,
    isolation::{self, Isolation},
    kubernetes::{
        apply::Applier,
        cache::{Caches, Triggers},
    },
    platform,
    postgres::Database,
    release,
    runtime::{
        backoff::Backoff,
        context::{Context, Databases},
        error::Error,
        events::Events,
        metrics::Metrics,
        options::Options,
    },
    stack::home::Home,
    tenant::{
        self,
        placement::{Placement, placed_on},
        unseen::Unseen,
    },
};

/// Instances reconciled at once. They mostly wait, and one whose database does not answer must not hold up the others.
const INSTANCES_AT_ONCE: u16 = 32;

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
    let triggers = Triggers {
        platforms: platform_sender,
        instances: instance_sender,
        tenants: tenant_sender,
        releases: release_sender,
    };
    let (caches, watches) = Caches::start(&client, &triggers);
    let ledger = Arc::new(Ledger::default());
    let (tenants, tenant_changes, tenant_watch) = watch::<Tenant>(&client, Some(&ledger));
    let (platforms, platform_changes, platform_watch) = watch::<SharedPlatform>(&client, Some(&ledger));
    let (instances, instance_changes, instance_watch) = watch::<DedicatedInstance>(&client, Some(&ledger));
    let (releases, release_changes, release_watch) = watch::<Release>(&client, None);
    let context = Arc::new(Context {
        applier: Applier::new(client.clone()),
        events: Events::new(client.clone(), &options.pod_name),
        placement: Placement::default(),
        ledger,
        isolation: Isolation::default(),
        unseen: Unseen::default(),
        databases: Databases::default(),
        client,
        options: options.clone(),
        caches,
        metrics,
        triggers,
        tenants,
        platforms,
        instances,
        releases,
    });

    let reflecting = tokio::spawn(futures::future::join4(tenant_watch, platform_watch, instance_watch, release_watch));
    warm_up(&context).await?;

    let surveys = tokio::spawn(survey(Arc::clone(&context)));
    let probes = tokio::spawn(isolation::watch(Arc::clone(&context)));
    let dependents = Arc::clone(&context);
    let tenant_controller = Controller::for_stream(tenant_changes, context.tenants.clone())
        .with_config(ControllerConfig::default().concurrency(options.tenant_concurrency))
        .reconcile_on(UnboundedReceiverStream::new(tenant_triggers));
    let platform_controller = Controller::for_stream(platform_changes, context.platforms.clone())
        .with_config(ControllerConfig::default().concurrency(options.platform_concurrency))
        .reconcile_on(UnboundedReceiverStream::new(platform_triggers));
    let instance_controller = Controller::for_stream(instance_changes, context.instances.clone())
        .with_config(ControllerConfig::default().concurrency(INSTANCES_AT_ONCE))
        .reconcile_on(UnboundedReceiverStream::new(instance_triggers));
    let release_controller = Controller::for_stream(release_changes, context.releases.clone())
        .with_config(ControllerConfig::default().concurrency(options.platform_concurrency))
        .reconcile_on(UnboundedReceiverStream::new(release_triggers));
    let attached = Arc::clone(&context);
    futures::future::join4(
        drive(
            tenant_controller,
            move |tenant: Arc<Tenant>, context: Arc<Context>| {
                // Which services an instance runs follows from its tenant.
                let serves = |one: &DedicatedInstance| one.spec.tenant_ref.name == tenant.name_any();
                for instance in attached.instances.state_filter(serves) {
                    attached.triggers.instance(&instance.name_any());
                }
                tenant::reconcile(tenant, context)
            },
            &context,
            stop.clone(),
        ),
        drive(platform_controller, platform::reconcile, &context, stop.clone()),
        drive(instance_controller, instance::reconcile, &context, stop.clone()),
        drive(
            release_controller,
            move |release: Arc<Release>, context: Arc<Context>| {
                // A platform or an instance may have waited for this release.
                for platform in dependents.platforms.state_filter(|one| one.spec.release == release.name_any()) {
                    dependents.triggers.platform(&platform.name_any());
                }
                let runs_it = |one: &DedicatedInstance| one.spec.release.name == release.name_any();
                for instance in dependents.instances.state_filter(runs_it) {
                    dependents.triggers.instance(&instance.name_any());
                }
                release::reconcile(release, context)
            },
            &context,
            stop,
        ),
    )
    .await;
    info!("controllers have stopped");
    surveys.abort();
    probes.abort();
    reflecting.abort();
    watches.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Waits until the caches hold what there is.
async fn warm_up(context: &Context) -> anyhow::Result<()> {
    context.caches.wait_until_ready().await;
    context.tenants.wait_until_ready().await?;
    context.platforms.wait_until_ready().await?;
    context.instances.wait_until_ready().await?;
    context.releases.wait_until_ready().await?;
    info!(
        tenants = context.tenants.len(),
        platforms = context.platforms.len(),
        instances = context.instances.len(),
        "caches are warm"
    );
    Ok(())
}

/// A store of all objects of a kind, the changes that matter to its controller, and the task that keeps both going. Versions of
/// the spec that come and go are kept for the ledger, if one is given.
fn watch<K>(
    client: &Client,
    ledger: Option<&Arc<Ledger>>,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static, impl Future<Output = ()> + Send + 'static)
where
    K: Resource<DynamicType = ()> + HasSpec + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::Spec: Serialize,
{
    const BUFFER: usize = 4096;
    let (store, writer) = reflector::store_shared(BUFFER);
    let handle: ReflectHandle<K> = writer.subscribe().expect("a shared store has subscribers");
    // What the operator itself writes, its status, is no news.
    let relevant = predicates::generation
        .combine(predicates::labels)
        .combine(predicates::annotations)
        .combine(predicates::finalizers);
    let changes = handle.map(|object| Ok((*object).clone())).predicate_filter(relevant, PredicateConfig::default());
    let (ledger, known) = (ledger.cloned(), store.clone());
    let watching = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| audit::author::compact(object.meta_mut()))
        .inspect(move |event| {
            if let (Ok(event), Some(ledger)) = (event, &ledger) {
                ledger.follow(event, &known);
            }
        })
        .reflect_shared(writer)
        .for_each(|event| async move {
            if let Err(error) = event {
                warn!(%error, kind = %K::kind(&()), "watch interrupted, retrying");
            }
        });
    (store, changes, watching)
}

async fn drive<K, R, F>(controller: Controller<K>, reconcile: R, context: &Arc<Context>, stop: CancellationToken)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    R: Fn(Arc<K>, Arc<Context>) -> F,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let backoff = Arc::new(Backoff::default());
    let failed = Arc::clone(&backoff);
    let attempt = move |object: Arc<K>, context: Arc<Context>| {
        let (name, backoff) = (object.name_any(), Arc::clone(&backoff));
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
    let looked = database.refresh().await;
    let trouble = looked.as_ref().err().map(ToString::to_string);
    if context.databases.looked(&home, trouble.as_deref()) {
        context.triggers.home(&home);
        if let Some(error) = trouble {
            warn!(%home, error, "its Postgres could not be looked at");
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
