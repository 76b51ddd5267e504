//! A shared platform, or a dedicated instance, as the tests see it: its services, its Postgres.

use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{API_PORT, TENANT_SERVICE, USER_SERVICE_AUDIENCE};
use easycode_crds::{DedicatedInstance, Release, SharedPlatform};
use easycode_operator::{
    postgres::credentials::Credentials,
    stack::{home::Home, plan::secrets::service_secret},
};
pub use easycode_testing::Answer;
use easycode_testing::{Endpoints, endpoints::Reachable};
use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Secret, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    cluster::{Cluster, has_nodes},
    operator::NAMESPACE,
    people::STAFF,
    postgres,
    reach::reach,
    wait::until,
};

/// The platform of the examples.
pub const EXAMPLE: &str = "eu1";

/// Name of a release with tenant-service and CRM of the example's, which is made if it is not there: a platform that a test brings up
/// by itself need not run all services.
pub async fn core_release(cluster: &Cluster) -> anyhow::Result<String> {
    release_of(cluster, "core", &["crm", TENANT_SERVICE]).await
}

/// Name of a release with these services of the example's.
pub async fn release_of(cluster: &Cluster, what: &str, services: &[&str]) -> anyhow::Result<String> {
    let platforms: Api<SharedPlatform> = Api::all(cluster.client.clone());
    let releases: Api<Release> = Api::all(cluster.client.clone());
    let example = platforms.get(EXAMPLE).await?.spec.release;
    let mut spec = releases.get(&example).await?.spec;
    spec.services.retain(|service| services.contains(&service.name.as_str()));
    // Of a version of its own, or an instance that asks for the example's might get it.
    spec.version = format!("{}-{what}", spec.version);
    let mut made = Release::new(&format!("{example}-{what}"), spec);
    made.labels_mut().insert("easycode.io/e2e".to_owned(), "true".to_owned());
    releases.patch(&made.name_any(), &PatchParams::apply("e2e").force(), &Patch::Apply(&made)).await?;
    Ok(made.name_any())
}

/// An image with the programs of Postgres and a shell: that of the example's database.
pub async fn postgres_image(cluster: &Cluster) -> anyhow::Result<String> {
    let api: Api<SharedPlatform> = Api::all(cluster.client.clone());
    let embedded = api.get(EXAMPLE).await?.spec.database.embedded;
    Ok(embedded.context("the example's database is not embedded")?.image)
}

/// A platform, or an instance, which is reached in the same ways.
#[derive(Clone)]
pub struct Platform {
    /// Its cluster.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
    /// Which of the two it is.
    pub home: Home,
    endpoints: Endpoints,
}

impl Deref for Platform {
    type Target = Endpoints;

    fn deref(&self) -> &Endpoints {
        &self.endpoints
    }
}

/// A home's services as this process reaches them in the cluster.
struct InCluster {
    cluster: Cluster,
    namespace: String,
}

impl Reachable for InCluster {
    fn base_url<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<String>> {
        async move {
            let address = reach(&self.cluster, &self.namespace, service, API_PORT).await?;
            Ok(format!("http://{address}"))
        }
        .boxed()
    }

    fn staff_token(&self) -> BoxFuture<'_, anyhow::Result<String>> {
        async move {
            let accounts: Api<ServiceAccount> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
            if accounts.get_opt(STAFF).await?.is_none() {
                let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": STAFF } });
                accounts.patch(STAFF, &PatchParams::apply("e2e"), &Patch::Apply(account)).await?;
            }
            self.cluster.token_of(NAMESPACE, STAFF, Some(USER_SERVICE_AUDIENCE)).await
        }
        .boxed()
    }
}

impl Platform {
    /// The platform of the examples, once it is ready.
    pub async fn example() -> anyhow::Result<Self> {
        Self::named(Cluster::connect().await?, EXAMPLE).await
    }

    /// A platform, once it is ready.
    pub async fn named(cluster: Cluster, name: &str) -> anyhow::Result<Self> {
        let platform = Self::of(cluster, name);
        platform.ready(Duration::from_mins(4)).await;
        Ok(platform)
    }

    /// A platform, however it is.
    #[must_use]
    pub fn of(cluster: Cluster, name: &str) -> Self {
        Self::at(cluster, Home::Platform(name.to_owned()))
    }

    /// A platform or an instance, however it is.
    #[must_use]
    pub fn at(cluster: Cluster, home: Home) -> Self {
        let reachable = InCluster { cluster: cluster.clone(), namespace: home.namespace() };
        Self { cluster, name: home.name().to_owned(), home, endpoints: Endpoints::new(Arc::new(reachable)) }
    }

    /// Waits until it is ready.
    pub async fn ready(&self, longest: Duration) {
        self.condition("Ready", "True", "", longest).await;
    }

    /// Waits for a condition of the present generation, with a reason unless that is empty; returns its message.
    pub async fn condition(&self, type_: &str, status: &str, reason: &str, longest: Duration) -> String {
        let api = self.api();
        until(&format!("{}: {type_} is {status} {reason}", self.home), longest, || async {
            let mut object = api.get(&self.name).await?;
            let conditions = object.data["status"]["conditions"].take();
            let conditions: Vec<Condition> = serde_json::from_value(conditions).context("no conditions yet")?;
            let found = conditions.into_iter().find(|one| one.type_ == type_).context("no such condition yet")?;
            ensure!(found.status == status, "{} {}: {}", found.status, found.reason, found.message);
            ensure!(reason.is_empty() || found.reason == reason, "reason {}: {}", found.reason, found.message);
            ensure!(found.observed_generation == object.metadata.generation, "the spec was not looked at yet");
            Ok(found.message)
        })
        .await
    }

    /// The API of what it is.
    #[must_use]
    pub fn api(&self) -> Api<DynamicObject> {
        let kind = match self.home {
            Home::Platform(_) => ApiResource::erase::<SharedPlatform>(&()),
            Home::Instance(_) => ApiResource::erase::<DedicatedInstance>(&()),
        };
        Api::all_with(self.cluster.client.clone(), &kind)
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.home.namespace()
    }

    /// How a service logs in to the Postgres, with an address that this process can reach.
    pub async fn login_of(&self, service: &str) -> anyhow::Result<PgConnectOptions> {
        self.login(&service_secret(service)).await
    }

    /// A login by the name of its Secret.
    pub async fn login(&self, secret: &str) -> anyhow::Result<PgConnectOptions> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client.clone(), &self.namespace());
        let external = postgres::external_login(&self.cluster, &self.home).await?;
        let found = match external.filter(|_| secret == "postgres-operator") {
            Some(found) => found,
            None => secrets.get(secret).await?,
        };
        let data: BTreeMap<String, ByteString> = found.data.unwrap_or_default();
        Ok(self.reachable(Credentials::from_secret(&data)?).await?.options())
    }

    /// Credentials with an address that this process can reach, which is not the name in the server's certificate.
    pub async fn reachable(&self, mut credentials: Credentials) -> anyhow::Result<Credentials> {
        if !has_nodes() {
            return Ok(credentials);
        }
        let address = reach(&self.cluster, &self.namespace(), "postgres", 5432).await?;
        (credentials.host, credentials.port) = (address.ip().to_string(), address.port());
        if credentials.sslmode == "verify-full" {
            "verify-ca".clone_into(&mut credentials.sslmode);
        }
        Ok(credentials)
    }

    /// A session as a service, as an intruder with its password would have it.
    pub async fn session_of(&self, service: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.login_of(service).await?).await?)
    }

    /// Runs SQL as the superuser, who is reached from within the pod alone, or by the server's socket; returns the rows as lines.
    pub async fn sql(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        if !has_nodes()
            && let Some(secret) = postgres::external_login(&self.cluster, &self.home).await?
            && let Some(rows) = postgres::sql(&secret, database, statement).await?
        {
            return Ok(rows);
        }
        let command = ["psql", "-h", "/tmp", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement];
        Ok(self.cluster.exec(&self.namespace(), "postgres-0", &command).await?.trim().to_owned())
    }
}
