//! What must be so after a soak: every tenant as its spec says, every acknowledged row once, and in the end nothing left over.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use easycode_contract::{
    context::TenantContext,
    runtime::{COMMON_SERVICES, CONTEXT_KEY},
};
use easycode_crds::{DedicatedInstance, tenant::DeletionPolicy};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Namespace, Secret},
    networking::v1::NetworkPolicy,
};
use kube::{Api, ResourceExt, api::ListParams, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;

use super::{
    company::{Company, Homes, PREFIX, retry},
    ground::is_role_of_soak,
    report::Journal,
    schedule::{Site, WRITTEN},
};
use crate::{
    holdings::{self, Holdings},
    tenant::tenants,
};

/// Checks each company that there was, and that the registry of the platform names no other.
pub async fn check_companies(companies: &[&Company], homes: &Homes, journal: &Journal) {
    for company in companies {
        let offboarded = company.wanted().offboarded;
        let checked = match offboarded {
            None => check_present(company).await,
            Some(policy) => check_offboarded(company, policy).await,
        };
        if let Err(error) = checked {
            journal.find(format!("{}: {error:#}", company.name));
        }
    }
    if let Err(error) = check_registry(companies, homes).await {
        journal.find(format!("{error:#}"));
    }
}

/// A company that is there is answered, has its roles, schemas and grants, and its rows, as its spec says.
async fn check_present(company: &Company) -> anyhow::Result<()> {
    retry("its status is right", || company.check_status()).await?;
    retry("its people are answered as they must be", || company.check_answer()).await?;
    retry("Postgres holds what its spec says", || check_holdings(company)).await?;
    retry("its context is published", || check_context(company)).await?;
    check_rows(company).await
}

async fn check_holdings(company: &Company) -> anyhow::Result<()> {
    let tenant = company.tenant();
    let held = tenant.holdings().await?;
    let wanted = company.wanted().clone();
    let entitled: Vec<_> = wanted.entitled.iter().copied().chain(COMMON_SERVICES).collect();
    let mut planned = tenant.planned(&entitled, &held).await?;
    if wanted.suspended {
        // Nobody may act for it, though it stays entitled.
        planned.members.retain(|member| member.starts_with("mig_"));
    }
    ensure!(held == planned, "Postgres holds {held:#?}, and should {planned:#?}");
    let missing: Vec<_> = entitled.iter().filter(|one| !held.schemas.contains_key(&one.replace('-', "_"))).collect();
    ensure!(missing.is_empty(), "it has no schema for {missing:?}");
    Ok(())
}

async fn check_context(company: &Company) -> anyhow::Result<()> {
    let tenant = company.tenant();
    let published = tenant.config_map().await?.context("its ConfigMap is missing")?;
    let document = published.data.as_ref().and_then(|data| data.get(CONTEXT_KEY)).context("an empty ConfigMap")?;
    let context: TenantContext = serde_json::from_str(document)?;
    ensure!(context.tenant == tenant.name && context.database_role == tenant.role(), "{document}");
    ensure!(Some(context.generation) == tenant.get().await?.metadata.generation, "generation {}", context.generation);
    let entitled: BTreeSet<_> = context.entitlements.keys().map(String::as_str).collect();
    let wanted = company.wanted().clone();
    let planned: BTreeSet<_> = wanted.entitled.iter().copied().chain(COMMON_SERVICES).collect();
    ensure!(entitled == planned, "its context entitles it to {entitled:?}");
    Ok(())
}

/// Every acknowledged write is there once, every other that was tried at most once, and nothing else is.
async fn check_rows(company: &Company) -> anyhow::Result<()> {
    let statement = format!("SELECT id || ' ' || family_name FROM {}.contact", company.tenant().role());
    let rows = retry("its rows are read", || company.home().sql(WRITTEN, &statement)).await?;
    let writes = company.writes().clone();
    compare_rows(&rows, &writes.acknowledged, &writes.unanswered)
}

/// Compares rows, each an id and a name, with what was written.
fn compare_rows(rows: &str, acknowledged: &[(String, String)], unanswered: &BTreeSet<String>) -> anyhow::Result<()> {
    let mut there: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows.lines() {
        let (id, name) = row.split_once(' ').context("a row without a name")?;
        there.entry(name).or_default().push(id);
    }
    let twice: Vec<_> = there.iter().filter(|(_, ids)| ids.len() > 1).collect();
    ensure!(twice.is_empty(), "{} rows are there twice: {:?}", twice.len(), twice.iter().take(5).collect::<Vec<_>>());
    let is_lost = |(name, id): &&(String, String)| there.get(name.as_str()).is_none_or(|ids| ids[0] != id);
    let lost: Vec<_> = acknowledged.iter().filter(is_lost).collect();
    ensure!(
        lost.is_empty(),
        "{} of {} acknowledged rows are lost: {:?}",
        lost.len(),
        acknowledged.len(),
        lost.iter().take(5).collect::<Vec<_>>()
    );
    let known: BTreeSet<_> =
        acknowledged.iter().map(|(name, _)| name.as_str()).chain(unanswered.iter().map(String::as_str)).collect();
    let unknown: Vec<_> = there.keys().filter(|name| !known.contains(**name)).take(5).collect();
    ensure!(unknown.is_empty(), "rows that nobody wrote, or that were refused: {unknown:?}");
    Ok(())
}

/// Of a company that was offboarded stays what its policy says.
async fn check_offboarded(company: &Company, policy: DeletionPolicy) -> anyhow::Result<()> {
    let tenant = company.tenant();
    let uid = company.uid.lock().unwrap().clone();
    ensure!(tenant.api().get_opt(&tenant.name).await?.is_none(), "the tenant is still there");
    ensure!(tenant.config_map().await?.is_none(), "its ConfigMap is still there");
    let held = retry("Postgres is read", || tenant.holdings()).await?;
    if policy == DeletionPolicy::Retain {
        ensure!(held.registered == [(uid, true)], "not registered as retained: {held:?}");
        ensure!(held.members.iter().all(|member| member.starts_with("mig_")), "someone may act for it: {held:?}");
        return check_rows(company).await;
    }
    ensure!(held == Holdings::default(), "offboarded by {policy:?}, and yet there is {held:#?}");
    check_receipt(company, &uid).await
}

async fn check_receipt(company: &Company, uid: &str) -> anyhow::Result<()> {
    let home = &company.homes().platform;
    let api: Api<ConfigMap> = Api::namespaced(home.cluster.client.clone(), &home.namespace());
    let start = uid.get(..8).context("its uid is not known")?;
    let receipt = format!("receipt-{}-{start}", company.name);
    let found = retry("its receipt is read", || async { Ok(api.get_opt(&receipt).await?) }).await?;
    ensure!(found.is_some(), "there is no {receipt}");
    Ok(())
}

/// Postgres knows the companies of the soak that live or are retained there, and no other of a soak.
async fn check_registry(companies: &[&Company], homes: &Homes) -> anyhow::Result<()> {
    for site in [Site::Platform, Site::Instance] {
        let held = retry("the registry is read", || holdings::of_all(homes.at(site))).await?;
        let may_be_there = |company: &&&Company| {
            let wanted = company.wanted();
            wanted.offboarded.is_none_or(|policy| policy == DeletionPolicy::Retain)
        };
        let known: BTreeSet<_> = companies.iter().filter(may_be_there).map(|one| one.tenant().role()).collect();
        let unknown: Vec<_> = held.keys().filter(|role| is_role_of_soak(role) && !known.contains(*role)).collect();
        ensure!(unknown.is_empty(), "Postgres of the {site} has roles or schemas of no tenant: {unknown:?}");
    }
    Ok(())
}

/// After everything was removed, nothing of a soak is left in Postgres or the cluster but receipts.
pub async fn check_nothing_left(homes: &Homes) -> anyhow::Result<()> {
    let platform = &homes.platform;
    let (client, namespace) = (platform.cluster.client.clone(), platform.namespace());
    let held = retry("the registry is read", || holdings::of_all(platform)).await?;
    let mut left: Vec<String> = held.into_keys().filter(|role| is_role_of_soak(role)).collect();
    let tenants = tenants(&platform.cluster).list(&ListParams::default()).await?;
    left.extend(named(tenants.iter(), PREFIX));
    let instances: Api<DedicatedInstance> = Api::all(client.clone());
    left.extend(named(instances.list(&ListParams::default()).await?.iter(), PREFIX));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let of_instances = format!("easycode-instance-{PREFIX}");
    left.extend(named(namespaces.list(&ListParams::default()).await?.iter(), &of_instances));
    left.extend(left_in::<ConfigMap>(&client, &namespace).await?);
    left.extend(left_in::<Secret>(&client, &namespace).await?);
    left.extend(left_in::<Job>(&client, &namespace).await?);
    left.extend(left_in::<NetworkPolicy>(&client, &namespace).await?);
    ensure!(left.is_empty(), "left over: {left:?}");
    Ok(())
}

/// Names of objects in the namespace that are of a company of a soak, but for receipts, which are kept.
async fn left_in<K>(client: &kube::Client, namespace: &str) -> anyhow::Result<Vec<String>>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default()).await?;
    let names = found.iter().map(ResourceExt::name_any);
    Ok(names.filter(|name| name.contains(PREFIX) && !name.starts_with("receipt-")).collect())
}

fn named<'a, K: ResourceExt + 'a>(objects: impl Iterator<Item = &'a K>, prefix: &str) -> Vec<String> {
    objects.map(ResourceExt::name_any).filter(|name| name.starts_with(prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(rows: &str) -> Result<(), String> {
        let acknowledged = [("a#1".to_owned(), "id1".to_owned()), ("a#2".to_owned(), "id2".to_owned())];
        let unanswered = BTreeSet::from(["a#3".to_owned()]);
        compare_rows(rows, &acknowledged, &unanswered).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_right_with_or_without_an_unanswered_write() {
        assert_eq!(compare("id1 a#1\nid2 a#2"), Ok(()));
        assert_eq!(compare("id1 a#1\nid2 a#2\nid3 a#3"), Ok(()));
    }

    #[test]
    fn a_lost_a_doubled_and_an_unknown_row_are_each_found() {
        let found = |rows: &str, word: &str| assert!(compare(rows).is_err_and(|error| error.contains(word)), "{rows}");
        found("id1 a#1", "lost");
        found("other a#1\nid2 a#2", "lost");
        found("id1 a#1\nid2 a#2\nid3 a#3\nid4 a#3", "twice");
        found("id1 a#1\nid2 a#2\nid9 b#9", "nobody wrote");
    }
}
