//! Reads the live objects that a plan is compared with.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, ListParams};

use super::changes::{Live, key_of};
use crate::{
    kubernetes::{
        apply::Applier,
        labels,
        object::{Kind, Planned},
    },
    stack::plan::service,
};

/// Requests at once.
const REQUESTS: usize = 16;
/// The live ones of the planned objects.
pub async fn of(planned: &[Planned], applier: &Applier) -> anyhow::Result<Live> {
    let found: Vec<Option<_>> = stream::iter(planned.iter().map(|object| get(object, applier)))
        .buffer_unordered(REQUESTS)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().map(|(kind, object)| (key_of(kind, &object), object)).collect())
}

async fn get(object: &Planned, applier: &Applier) -> anyhow::Result<Option<(Kind, DynamicObject)>> {
    let found = applier.api(object.kind, &object.namespace).get_opt(&object.name).await;
    let found = found.with_context(|| format!("reading {:?} {}/{}", object.kind, object.namespace, object.name))?;
    Ok(found.map(|found| (object.kind, found)))
}

/// The live objects of a stack: the planned ones, and those that are no longer planned.
pub async fn of_stack(planned: &[Planned], namespace: &str, applier: &Applier) -> anyhow::Result<Live> {
    let mut live = of(planned, applier).await?;
    // Kinds of which the operator also takes away what is not planned.
    for kind in service::KINDS.into_iter().chain([Kind::Ingress]) {
        let made = ListParams::default().labels(labels::MANAGED_BY);
        let found = applier.api(kind, namespace).list(&made).await;
        for object in found.with_context(|| format!("listing {} in {namespace}", kind.resource().plural))? {
            // What was read by name is complete, an item of a list lacks its kind.
            live.entry(key_of(kind, &object)).or_insert(object);
        }
    }
    Ok(live)
}
