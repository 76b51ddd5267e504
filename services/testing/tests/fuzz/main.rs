//! Every service of the release, fuzzed by its own description with the tokens of two companies: whatever one of them sends, nothing
//! breaks, and nothing of the other is seen or changed. Reports are in `target/fuzz/<service>/`.
//!
//! `EASYCODE_FUZZ_EXAMPLES` is the number of cases an operation, `EASYCODE_FUZZ_SEED` another seed than the usual. A binary of its own,
//! since it alone needs Schemathesis, and `make fuzz` runs it alone and at length.

mod company;
mod description;
mod seeds;
mod strangers;

use anyhow::{Context, ensure};
use easycode_contract::runtime::USER_SERVICE;
use easycode_testing::{
    Platform, people,
    schemathesis::{Fuzzer, Target},
};
use futures::{StreamExt, TryStreamExt, stream};

use self::{company::Company, description::Description};

/// Cases an operation, unless more are asked for (`make fuzz`), and of the way back.
const EXAMPLES: u32 = 4;
const EXAMPLES_BACK: u32 = 5;
/// Services at once: one of them works while the other is asked.
const AT_ONCE: usize = 2;

/// The descriptions of all services of the release that the platform runs.
async fn services(platform: &Platform) -> anyhow::Result<Vec<Description>> {
    let names = platform.release().spec.services.iter().map(|service| service.name.clone());
    stream::iter(names).then(|name| Description::read(platform, name)).try_collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_breaks_and_nothing_of_another_company_is_seen_whatever_is_sent() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let services = services(&platform).await?;
    let roles: Vec<_> = services.iter().flat_map(|service| service.roles.clone()).collect();
    let (a, b) =
        tokio::try_join!(Company::create(&platform, "fuzz-a", &roles), Company::create(&platform, "fuzz-b", &roles))?;
    let (a, b) = tokio::try_join!(seeds::sow(a, &services), seeds::sow(b, &services))?;
    strangers::are_refused(&a, &b, &services).await?;

    fuzz(&a, &b, &services, "out", Fuzzer::thorough(EXAMPLES)?).await?;
    fuzz(&b, &a, &services, "back", Fuzzer::brief(EXAMPLES_BACK)?).await?;
    fuzz_own_account(&a, &b, &services).await
}

/// What people do with their own account and sessions, which only those have whom user-service knows: as the first administrator.
async fn fuzz_own_account(one: &Company, other: &Company, services: &[Description]) -> anyhow::Result<()> {
    const OTHERS: &str = "^/(?!me|sessions)";
    let person = people::first_administrator(&one.tenant.platform, &one.tenant.name, people::ADMINISTRATOR).await?;
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
