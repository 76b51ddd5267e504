//! People of a tenant in the cluster.

pub use easycode_testing::people::{
    ADMINISTRATOR, PASSWORD, Person, address, ask, claims, follow, try_sign_in, with_administrator,
};
use serde_json::Value;

use crate::{platform::Platform, tenant::TestTenant};

/// Service account of client-admin-service, by which EasyCode's staff are known.
pub const STAFF: &str = "easycode-client-admin";

/// Makes a tenant, and signs its first administrator in.
pub async fn tenant_with_administrator(
    platform: &Platform,
    what: &str,
    spec: Value,
) -> anyhow::Result<(TestTenant, Person)> {
    let tenant = TestTenant::create(platform, what, with_administrator(spec)).await?;
    let administrator = first_administrator(&tenant, ADMINISTRATOR).await?;
    Ok((tenant, administrator))
}

/// Signs a first administrator in, whom EasyCode's staff have invited. user-service may not know yet of a tenant that was just made.
pub async fn first_administrator(tenant: &TestTenant, email: &str) -> anyhow::Result<Person> {
    easycode_testing::people::first_administrator(&tenant.platform, &tenant.name, email).await
}
