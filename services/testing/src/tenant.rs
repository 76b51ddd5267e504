//! A tenant of a test.

use anyhow::Context;
use easycode_crds::Tenant;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer, Platform,
    people::{self, Person},
    platform, tokens,
};

/// A tenant on a platform of a test.
#[derive(Clone)]
pub struct TestTenant {
    /// Its platform.
    pub platform: Platform,
    /// Its name.
    pub name: String,
}

/// A name that nothing else of the test has.
#[must_use]
pub fn fresh_name(what: &str) -> String {
    format!("{what}-{:06x}", rand::random_range(0..0x0100_0000))
}

impl TestTenant {
    /// Makes a tenant with a fresh name on the platform, entitled to CRM. `spec` replaces fields of that.
    pub async fn create(platform: &Platform, what: &str, spec: Value) -> anyhow::Result<Self> {
        Self::named(platform, &fresh_name(what), spec).await
    }

    /// Makes a tenant of this name, as if it had been created a while ago: tokens that are signed at once are younger.
    pub async fn named(platform: &Platform, name: &str, spec: Value) -> anyhow::Result<Self> {
        Self::made(platform, name, spec, metadata(name)).await
    }

    /// Makes a tenant of this name that is created now.
    pub async fn named_now(platform: &Platform, name: &str, spec: Value) -> anyhow::Result<Self> {
        let mut metadata = metadata(name);
        metadata["creationTimestamp"] = json!(whole_seconds(Timestamp::now()));
        Self::made(platform, name, spec, metadata).await
    }

    async fn made(platform: &Platform, name: &str, spec: Value, metadata: Value) -> anyhow::Result<Self> {
        let tenant = Self { platform: platform.clone(), name: name.to_owned() };
        let mut full = json!({
            "displayName": name, "deployment": { "platform": "eu1" }, "entitlements": [{ "service": "crm" }],
            // Nothing is between a test and a service, so it asks more often than people do.
            "limits": { "requestsPerSecond": 1000 },
        });
        merge(&mut full, spec)?;
        tenant.platform.apply(parse(&metadata, &full)?).await?;
        Ok(tenant)
    }

    /// Makes one of the examples' tenants, as it is described there.
    pub async fn example(platform: &Platform, name: &str) -> anyhow::Result<Self> {
        let examples = platform::examples()?;
        let spec = serde_json::to_value(&examples.tenant(name).context("no such example")?.spec)?;
        platform.apply(parse(&metadata(name), &spec)?).await?;
        Ok(Self { platform: platform.clone(), name: name.to_owned() })
    }

    /// Makes a tenant, and signs its first administrator in.
    pub async fn with_administrator(platform: &Platform, what: &str, spec: Value) -> anyhow::Result<(Self, Person)> {
        let tenant = Self::create(platform, what, people::with_administrator(spec)).await?;
        let administrator = people::first_administrator(platform, &tenant.name, people::ADMINISTRATOR).await?;
        Ok((tenant, administrator))
    }

    /// Changes fields of the spec, and waits until all services know.
    pub async fn change(&self, spec: Value) -> anyhow::Result<()> {
        let before = self.get()?;
        let mut full = serde_json::to_value(&before.spec)?;
        merge(&mut full, spec)?;
        let mut metadata = serde_json::to_value(&before.metadata)?;
        metadata["generation"] = json!(before.metadata.generation.unwrap_or_default() + 1);
        self.platform.apply(parse(&metadata, &full)?).await
    }

    /// As it was last applied.
    pub fn get(&self) -> anyhow::Result<Tenant> {
        self.platform.tenant(&self.name).context("it was erased")
    }

    /// Role and schema in Postgres.
    #[must_use]
    pub fn role(&self) -> String {
        format!("t_{}", self.name.replace('-', "_"))
    }

    /// A token of one of its users.
    pub fn token(&self) -> anyhow::Result<String> {
        tokens::token(&self.name, &["crm-user"])
    }

    /// Asks a service as one of its users.
    pub async fn ask(&self, service: &str, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        self.platform.ask(service, method, path, &self.token()?, body).await
    }

    /// A request to a service as one of its users, to be completed and sent with [`Answer::of`].
    pub async fn request(&self, service: &str, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self.platform.request(service, method, path).await?.bearer_auth(self.token()?))
    }

    /// Reads from CRM as one of its users.
    pub async fn read(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("crm", Method::GET, path, None).await
    }

    /// Adds a contact and returns its id.
    pub async fn add_contact(&self, family_name: &str) -> anyhow::Result<String> {
        let answer = self.ask("crm", Method::POST, "/contacts", Some(json!({ "familyName": family_name }))).await?;
        anyhow::ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.body["id"].as_str().context("no id")?.to_owned())
    }

    /// Deletes it with its data.
    pub async fn erase(&self) -> anyhow::Result<()> {
        self.platform.erase(&self.name).await
    }
}

/// Metadata of a tenant as the API server would make it.
fn metadata(name: &str) -> Value {
    let created = Timestamp::now() - SignedDuration::from_mins(1);
    json!({ "name": name, "uid": Uuid::new_v4(), "generation": 1, "creationTimestamp": whole_seconds(created) })
}

/// As the API server tells times.
fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn merge(full: &mut Value, spec: Value) -> anyhow::Result<()> {
    let Value::Object(fields) = spec else { anyhow::bail!("spec is no object: {spec}") };
    for (key, value) in fields {
        full[key] = value;
    }
    Ok(())
}

fn parse(metadata: &Value, spec: &Value) -> anyhow::Result<Tenant> {
    let object = json!({ "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant", "metadata": metadata, "spec": spec });
    Ok(serde_json::from_value(object)?)
}
