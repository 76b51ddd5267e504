//! Every service of the release, fuzzed by its own description with the tokens of two companies: whatever one of them sends, nothing
//! breaks, and nothing of the other is seen or changed. And the staff's console, by those who may change nothing there. Reports are in
//! `target/fuzz/<service>/`.
//!
//! `EASYCODE_FUZZ_EXAMPLES` is the number of cases an operation, `EASYCODE_FUZZ_SEED` another seed than the usual.

mod company;
mod description;
mod schemathesis;
mod seeds;
mod staff;
mod strangers;

use anyhow::{Context, ensure};
use easycode_contract::runtime::USER_SERVICE;
use easycode_crds::{Release, SharedPlatform};
use easycode_e2e::{
    people,
    platform::{EXAMPLE, Platform},
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;

use self::{
    company::Company,
    description::Description,
    schemathesis::{Fuzzer, Target},
};

/// Cases an operation, unless more are asked for (`make fuzz`), and of the way back.
const EXAMPLES: u32 = 4;
const EXAMPLES_BACK: u32 = 5;
/// Services at once: one of them works while the other is asked.
const AT_ONCE: usize = 2;

/// The descriptions of all services of the release that the platform runs, and that release.
async fn services(platform: &Platform) -> anyhow::Result<(Release, Vec<Description>)> {
    let client = platform.cluster.client.clone();
    let runs = Api::<SharedPlatform>::all(client.clone()).get(EXAMPLE).await?.spec.release;
    let release = Api::<Release>::all(client).get(&runs).await?;
    let names = release.spec.services.iter().map(|service| service.name.clone());
    let described = stream::iter(names).then(|name| Description::read(platform, name)).try_collect().await?;
    Ok((release, described))
}

#[tokio::test]
async fn nothing_breaks_and_nothing_of_another_company_is_seen_whatever_is_sent() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let (release, services) = services(&platform).await?;
    let roles: Vec<_> = services.iter().flat_map(|service| service.roles.clone()).collect();
    let (a, b) = tokio::try_join!(
        Company::create(&platform, "fuzz-a", &release, &roles),
        Company::create(&platform, "fuzz-b", &release, &roles)
    )?;
    let (a, b) = tokio::try_join!(seeds::sow(a, &services), seeds::sow(b, &services))?;
    strangers::are_refused(&a, &b, &services).await?;

    fuzz(&a, &b, &services, "out", Fuzzer::thorough(EXAMPLES)?).await?;
    fuzz(&b, &a, &services, "back", Fuzzer::brief(EXAMPLES_BACK)?).await?;
    fuzz_own_account(&a, &b, &services).await?;
    a.tenant.erase().await?;
    b.tenant.erase().await
}

/// What people do with their own account and sessions, which only those have whom user-service knows: as the first administrator.
async fn fuzz_own_account(one: &Company, other: &Company, services: &[Description]) -> anyhow::Result<()> {
    const OTHERS: &str = "^/(?!me|sessions)";
    let person = people::first_administrator(&one.tenant, people::ADMINISTRATOR).await?;
    let service = services.iter().find(|service| service.name == USER_SERVICE).context("no user-service")?;
    let target = Target {
        name: &service.name,
        base: &service.base,
        token: &person.token,
        ids: &other.known,
        secrets: other.secrets(),
        without: Some(OTHERS),
    };
    let found = Fuzzer::thorough(EXAMPLES)?.run(&target, "own").await?;
    ensure!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(())
}

/// As one company against the other, whose records are the same afterwards.
async fn fuzz(
    one: &Company,
    other: &Company,
    services: &[Description],
    way: &str,
    fuzzer: Fuzzer,
) -> anyhow::Result<()> {
    let before = other.records(services).await?;
    ensure!(before.len() > services.len(), "there is too little that could be seen: {before:?}");
    let found: Vec<_> = stream::iter(services)
        .map(|service| Target {
            name: &service.name,
            base: &service.base,
            token: &one.token,
            ids: &other.known,
            secrets: other.secrets(),
            without: None,
        })
        .map(async |target| fuzzer.run(&target, way).await)
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|found| std::future::ready(Ok(found)))
        .try_collect()
        .await?;
    let after = other.records(services).await?;
    for (path, record) in &before {
        let now = after.get(path).with_context(|| format!("{path} is gone"))?;
        ensure!(now == record, "{path} of another company was changed: {record} became {now}");
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
