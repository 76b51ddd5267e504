//! Steps that the operator can't take for as long as a test likes: a write that the API server refuses it, or a lock that it
//! waits for in Postgres. So a test stops it at a known place without a word in the product about that.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use easycode_contract::database::Identifier;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use crate::{
    cluster::Cluster,
    operator::{ACCOUNT, Metrics},
    platform::Platform,
    tenant::fresh_name,
    wait::until,
};

/// How long a block may take to be in force, or to be reached.
const PATIENCE: Duration = Duration::from_mins(2);
/// Label of an object by which a refusal is tried: its policy.
const TRIAL: &str = "e2e-trial";
const REFUSALS: &str = "apiserver_validating_admission_policy_check_total";

/// A write that is refused to the operator.
pub struct Write {
    kind: ApiResource,
    subresource: &'static str,
    operation: &'static str,
    namespace: Option<String>,
    name: String,
    /// What else must be so of the object, in CEL.
    only: String,
    /// An object of that name, by which it is tried whether the refusal is in force.
    sample: Value,
}

impl Write {
    /// A change of a tenant itself: of its finalizers, or its label.
    #[must_use]
    pub fn to_tenant(name: &str) -> Self {
        Self {
            kind: ApiResource::erase::<easycode_crds::Tenant>(&()),
            subresource: "",
            operation: "UPDATE",
            namespace: None,
            name: name.to_owned(),
            only: "true".to_owned(),
            sample: json!({ "spec": { "displayName": "sample" } }),
        }
    }

    /// The status of a tenant.
    #[must_use]
    pub fn to_status_of(name: &str) -> Self {
        Self { subresource: "status", ..Self::to_tenant(name) }
    }

    /// The status of a tenant in which its move comes to a phase.
    #[must_use]
    pub fn to_phase_of(name: &str, phase: &str) -> Self {
        let only = format!(
            "has(object.status) && has(object.status.move) && has(object.status.move.phase) && object.status.move.phase == '{phase}'"
        );
        Self { only, ..Self::to_status_of(name) }
    }

    /// A ConfigMap, to be made or changed.
    #[must_use]
    pub fn of_config_map(namespace: &str, name: &str) -> Self {
        Self {
            kind: ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
            subresource: "",
            operation: "",
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            only: "true".to_owned(),
            sample: json!({}),
        }
    }

    /// The deletion of a ConfigMap.
    #[must_use]
    pub fn deleting_config_map(namespace: &str, name: &str) -> Self {
        Self { operation: "DELETE", ..Self::of_config_map(namespace, name) }
    }

    /// Whether a request is this write by the operator, or the trial of this refusal by a test.
    fn condition(&self, policy: &str) -> String {
        let subresource = if self.subresource.is_empty() {
            "true".to_owned()
        } else {
            format!("has(request.subResource) && request.subResource == '{}'", self.subresource)
        };
        let operation = match self.operation {
            "" => "request.operation in ['CREATE', 'UPDATE']".to_owned(),
            one => format!("request.operation == '{one}'"),
        };
        let trial = format!(
            "request.operation != 'DELETE' && has(object.metadata.labels) && '{TRIAL}' in object.metadata.labels && object.metadata.labels['{TRIAL}'] == '{policy}'"
        );
        format!(
            "request.name == '{}' && ((request.userInfo.username == '{ACCOUNT}' && {operation} && {subresource} && {only}) || (has(request.dryRun) && request.dryRun && {trial}))",
            self.name,
            only = self.only
        )
    }
}

/// A block that is in force.
pub struct Block(Kind);

enum Kind {
    Refusal { cluster: Cluster, policy: String, before: f64 },
    Lock { platform: Platform, session: PgConnection, id: i32 },
}

impl Block {
    /// Refuses a write to the operator.
    pub async fn write(cluster: &Cluster, write: &Write) -> anyhow::Result<Self> {
        let policy = fresh_name("block");
        let mut resources = vec![write.kind.plural.clone()];
        if !write.subresource.is_empty() {
            resources.push(format!("{}/{}", write.kind.plural, write.subresource));
        }
        let made: ValidatingAdmissionPolicy = from_value(json!({
            "metadata": { "name": policy },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [write.kind.group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": resources,
                }] },
                "matchConditions": [{ "name": "this-write", "expression": write.condition(&policy) }],
                "validations": [{ "expression": "false", "message": "blocked by a test" }],
            },
        }))?;
        let binding: ValidatingAdmissionPolicyBinding = from_value(json!({
            "metadata": { "name": policy }, "spec": { "policyName": policy, "validationActions": ["Deny"] },
        }))?;
        let (policies, bindings) = apis(cluster);
        policies.create(&PostParams::default(), &made).await?;
        bindings.create(&PostParams::default(), &binding).await?;
        until(&format!("{policy} is in force"), PATIENCE, || try_out(cluster, write, &policy)).await;
        // The trials were refused, too.
        let before = refusals(cluster, &policy).await?;
        Ok(Self(Kind::Refusal { cluster: cluster.clone(), policy, before }))
    }

    /// Holds the registry of tenants, which a transaction on roles writes to.
    pub async fn registry(platform: &Platform) -> anyhow::Result<Self> {
        Self::lock(platform, "easycode", "BEGIN; LOCK TABLE easycode.tenant IN EXCLUSIVE MODE").await
    }

    /// Holds a tenant's schema in a service's database.
    pub async fn schema(platform: &Platform, service: &str, role: &str) -> anyhow::Result<Self> {
        let statement = format!("SELECT pg_advisory_lock(hashtext('easycode.migrate'), hashtext('{role}'))");
        Self::lock(platform, Identifier::database(service)?.as_str(), &statement).await
    }

    /// Holds the membership by which a service acts as a tenant.
    pub async fn membership(platform: &Platform, role: &str, service: &str) -> anyhow::Result<Self> {
        let login = Identifier::service_login(service)?;
        Self::lock(platform, "easycode", &format!("BEGIN; REVOKE {role} FROM {login}")).await
    }

    async fn lock(platform: &Platform, database: &str, statement: &str) -> anyhow::Result<Self> {
        let login = platform.login("postgres-operator").await?.database(database);
        let mut session = PgConnection::connect_with(&login).await?;
        raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut session).await?;
        let id = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await?;
        Ok(Self(Kind::Lock { platform: platform.clone(), session, id }))
    }

    /// Waits until the operator is seen to be stopped by it. It gives a lock up after three seconds to try again later: seen is
    /// one that it has only begun to wait for.
    pub async fn reached(&self) {
        until("the operator reaches the block", PATIENCE, || async {
            match &self.0 {
                Kind::Refusal { cluster, policy, before } => {
                    ensure!(refusals(cluster, policy).await? > *before, "nothing was refused to it");
                }
                Kind::Lock { platform, id, .. } => {
                    let fresh = "query_start > clock_timestamp() - interval '1 second'";
                    let count = format!("SELECT count(*) FROM {} AND {fresh}", waiting(*id));
                    ensure!(platform.sql("postgres", &count).await? != "0", "nobody waits for the lock");
                }
            }
            Ok(())
        })
        .await;
    }

    /// Makes Postgres notice that those who wait for the lock have died: without that, their transaction goes on once the
    /// lock is free, and is committed.
    pub async fn lose_who_waits(&self) -> anyhow::Result<()> {
        let Kind::Lock { platform, id, .. } = &self.0 else { bail!("only a lock is waited for") };
        let lost = format!("SELECT count(pg_terminate_backend(pid, 5000)) FROM {}", waiting(*id));
        let count = platform.sql("postgres", &lost).await?;
        println!("lost {count} transactions");
        Ok(())
    }

    /// Lets the operator go on.
    pub async fn lift(self) -> anyhow::Result<()> {
        match self.0 {
            Kind::Refusal { cluster, policy, .. } => {
                let (policies, bindings) = apis(&cluster);
                bindings.delete(&policy, &DeleteParams::default()).await?;
                policies.delete(&policy, &DeleteParams::default()).await?;
            }
            // The end of the session rolls back, and frees.
            Kind::Lock { session, .. } => session.close().await?,
        }
        Ok(())
    }
}

/// Lifts the refusal of this name, if there is one: of a test that has failed before it did.
pub(crate) async fn unblock(cluster: Cluster, policy: String) -> anyhow::Result<()> {
    let (policies, bindings) = apis(&cluster);
    if bindings.get_opt(&policy).await?.is_some() {
        bindings.delete(&policy, &DeleteParams::default()).await?;
    }
    if policies.get_opt(&policy).await?.is_some() {
        policies.delete(&policy, &DeleteParams::default()).await?;
    }
    Ok(())
}

/// The operator's sessions that wait for the session.
fn waiting(session: i32) -> String {
    format!("pg_stat_activity WHERE application_name = 'easycode-operator' AND {session} = ANY (pg_blocking_pids(pid))")
}

fn apis(cluster: &Cluster) -> (Api<ValidatingAdmissionPolicy>, Api<ValidatingAdmissionPolicyBinding>) {
    (Api::all(cluster.client.clone()), Api::all(cluster.client.clone()))
}

/// Tries the write without any effect, and fails unless the policy refuses it.
async fn try_out(cluster: &Cluster, write: &Write, policy: &str) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = match &write.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &write.kind),
        None => Api::all_with(cluster.client.clone(), &write.kind),
    };
    let mut sample = write.sample.clone();
    sample["apiVersion"] = write.kind.api_version.clone().into();
    sample["kind"] = write.kind.kind.clone().into();
    sample["metadata"]["name"] = write.name.clone().into();
    sample["metadata"]["labels"] = json!({ TRIAL: policy });
    let params = PatchParams { dry_run: true, ..PatchParams::apply("e2e-trial").force() };
    match api.patch(&write.name, &params, &Patch::Apply(sample)).await {
        Err(kube::Error::Api(status)) if status.message.contains(policy) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => bail!("it is not refused yet"),
    }
}

/// How often the API server has refused by the policy.
async fn refusals(cluster: &Cluster, policy: &str) -> anyhow::Result<f64> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = Metrics(cluster.client.request_text(request).await.context("metrics of the API server")?);
    Ok(metrics.total(REFUSALS, |labels| labels.contains(&format!("policy=\"{policy}\"")) && labels.contains("deny")))
}
