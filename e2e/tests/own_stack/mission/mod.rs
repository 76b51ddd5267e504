//! What all of this is for, in both deployment models: EasyCode's staff take a company in, its administrator lets its people in and sets
//! things up as the company wants them, its clerk buys, receives and sells, and its books balance. A service that is withdrawn is missed
//! politely. Whoever outgrows the shared platform finds everything again in an instance of its own.

mod people;
mod staff;
mod trade;

use anyhow::ensure;
use easycode_e2e::{cluster::Cluster, own_instance::OwnInstance, platform::Platform, tenant::fresh_name};
use serde_json::json;

use self::{people::People, staff::Staff, trade::Shop};

/// The company, from its first day until Inventory was withdrawn and given back.
async fn first_days(staff: &Staff, platform: &Platform) -> anyhow::Result<(People, Shop)> {
    let people = People::come_in(staff, platform).await?;
    people.set_up().await?;
    let mut shop = Shop::open(&people.rita).await?;
    shop.buy(&people).await?;
    shop.receive(&people.rita, "30").await?;
    shop.sell(&people.rita, "15.5").await?;
    shop.stands_at(
        &people.rita,
        &[
            ("1000", "190.40"),
            ("1200", "50.75"),
            ("2000", "-105.00"),
            ("2100", "-30.40"),
            ("4000", "-160.00"),
            ("5000", "54.25"),
        ],
    )
    .await?;
    shop.receipt_is_the_companys(&people.rita).await?;

    staff.withdraw("inventory").await?;
    shop.misses_inventory(&platform.home, &people).await?;
    staff.give_back().await?;
    let people = people.refreshed(platform).await?;
    shop.receive(&people.rita, "10").await?;
    shop.comes_to_have(&people.rita, "24.5").await;
    Ok((people, shop))
}

#[tokio::test]
async fn a_company_grows_from_the_platform_into_an_instance_of_its_own() -> anyhow::Result<()> {
    let platform = Platform::example().await?;
    let own = OwnInstance::named(&platform.cluster, &fresh_name("mission"));
    let staff = Staff::of(&platform.cluster, &own).await?;
    staff.onboard(json!({ "model": "Shared", "platform": platform.name }), None).await?;
    let (people, mut shop) = first_days(&staff, &platform).await?;
    let before = (people.seen().await?, shop.seen(&people.rita).await?);

    staff.upgrade(&own).await?;
    people.are_sent_away_from(&platform).await?;
    // Nobody has to sign in again: their sessions have moved along.
    let people = people.refreshed(&own.platform).await?;
    let after = (people.seen().await?, shop.seen(&people.rita).await?);
    ensure!(before == after, "not all of it is there again: {before:#?} became {after:#?}");
    shop.sell(&people.rita, "4").await?;
    ensure!(shop.in_stock(&people.rita).await? == "20.5", "nothing was taken from the stock");
    shop.receipt_is_the_companys(&people.rita).await?;
    staff.is_told_of(&own)?;
    staff.let_go(own).await
}

#[tokio::test]
async fn a_company_begins_in_an_instance_of_its_own() -> anyhow::Result<()> {
    let own = OwnInstance::named(&Cluster::connect().await?, &fresh_name("mission"));
    let staff = Staff::of(&own.platform.cluster, &own).await?;
    let instance = staff::small(&own).await?;
    staff.onboard(json!({ "model": "Dedicated", "instance": own.platform.name }), Some(instance)).await?;
    first_days(&staff, &own.platform).await?;
    staff.let_go(own).await
}
