//! EasyCode's staff: what they do with a company by the console's API. Each change is planned before it is made.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_e2e::{
    cluster::Cluster, console::Program, own_instance::OwnInstance, own_platform::remove_namespace,
    people::ADMINISTRATOR, trail, wait::until,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest time until a company is taken in, or has moved.
const LONGEST: Duration = Duration::from_mins(4);

/// Staff, at work for one company.
pub struct Staff {
    operations: Program,
    administrator: Program,
    region: String,
    company: String,
}

/// An instance of all services that fits on a small node beside others.
pub async fn small(own: &OwnInstance) -> anyhow::Result<Value> {
    let resources = json!({ "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } });
    let bought = everything();
    let names = bought.as_array().into_iter().flatten().map(|one| one["service"].clone());
    let names = names.chain([json!(TENANT_SERVICE), json!(USER_SERVICE)]);
    let services: Vec<_> = names.map(|name| json!({ "name": name, "resources": resources })).collect();
    own.spec(json!({ "services": services })).await
}

/// Everything that a company can buy.
fn everything() -> Value {
    json!([
        { "service": "crm", "modules": ["campaigns"] },
        { "service": "finance", "modules": ["invoicing", "ledger"] },
        { "service": "inventory", "modules": ["warehousing", "lots"] },
        { "service": "pos", "modules": ["loyalty"] },
        { "service": "procurement", "modules": ["approvals"] },
    ])
}

impl Staff {
    /// Two of the demo's.
    pub async fn of(cluster: &Cluster, company: &OwnInstance) -> anyhow::Result<Self> {
        Ok(Self {
            operations: Program::of(cluster, "operations").await?,
            administrator: Program::of(cluster, "administrator").await?,
            region: cluster.region().await?,
            company: company.tenant.name.clone(),
        })
    }

    /// The company's name.
    pub fn company(&self) -> &str {
        &self.company
    }

    fn path(&self) -> String {
        format!("/tenants/{}", self.company)
    }

    /// Takes the company in.
    pub async fn onboard(&self, deployment: Value, instance: Option<Value>) -> anyhow::Result<()> {
        let spec = json!({
            "displayName": "Meridian Outfitters", "region": self.region, "deployment": deployment,
            "entitlements": everything(), "administrators": [{ "email": ADMINISTRATOR, "name": "Ada Lovelace" }],
            "dataUse": { "analytics": "Pooled", "agreement": "DPA-2026-031" }, "backup": { "rpo": "12h", "retention": "30d" },
            "limits": { "users": 40, "requestsPerSecond": 500 }, "deletionPolicy": "Delete",
        });
        let mut change = json!({ "tenant": { "spec": spec } });
        if let Some(spec) = instance {
            change["instance"] = json!({ "name": self.company, "wanted": { "spec": spec } });
        }
        self.plan(&change).await?;
        let unknown = self.operations.ask(Method::GET, &self.path(), None).await?;
        ensure!(unknown.status == 404, "a plan took the company in: {unknown:?}");
        self.put(&change).await?;
        self.is_ready(|_| true).await;
        Ok(())
    }

    /// Withdraws a service.
    pub async fn withdraw(&self, service: &str) -> anyhow::Result<()> {
        let mut kept = everything();
        kept.as_array_mut().context("services")?.retain(|one| one["service"] != service);
        self.change(|spec| spec["entitlements"] = kept.clone(), None).await
    }

    /// Entitles the company to everything again.
    pub async fn give_back(&self) -> anyhow::Result<()> {
        self.change(|spec| spec["entitlements"] = everything(), None).await
    }

    /// Moves the company from the platform into an instance, which is made along with it.
    pub async fn upgrade(&self, own: &OwnInstance) -> anyhow::Result<()> {
        let instance = json!({ "name": own.platform.name, "wanted": { "spec": small(own).await? } });
        let deployment = json!({ "model": "Dedicated", "instance": own.platform.name });
        self.change(|spec| spec["deployment"] = deployment.clone(), Some(instance)).await?;
        self.is_ready(|status| status["instance"] == json!(own.platform.name) && status.get("platform").is_none())
            .await;
        Ok(())
    }

    /// Makes a link for the company's administrator, and returns the token in it.
    pub async fn invite(&self) -> anyhow::Result<Value> {
        let path = format!("{}/invitations", self.path());
        let invited = until(&format!("{ADMINISTRATOR} is invited"), Duration::from_secs(20), || async {
            let wanted = json!({ "email": ADMINISTRATOR });
            let answer = self.operations.ask(Method::POST, &path, Some(wanted)).await?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(answer.body)
        })
        .await;
        let link = invited["link"].as_str().context("no link")?;
        let at = link.find("/user/invitation?").with_context(|| format!("{link} leads elsewhere"))?;
        Ok(json!({ "path": link[at..] }))
    }

    /// The audit trail has who wanted the instance, and what the operator did with the company's data.
    pub fn is_told_of(&self, own: &OwnInstance) -> anyhow::Result<()> {
        let home = ["--instance", own.platform.name.as_str()];
        let of_instance = trail::records(home, "DedicatedInstance", &own.platform.name)?;
        let by_staff = |one: &Value| {
            one["generation"] == 1
                && one["actor"].as_str().is_some_and(|actor| actor.contains("operations@easycode.example"))
        };
        ensure!(of_instance.iter().filter(|one| by_staff(one)).count() == 1, "{of_instance:?}");
        let of_tenant = trail::records(home, "Tenant", &self.company)?;
        let moved = of_tenant.iter().filter(|one| one["act"] == "Move" && one["actor"] == "easycode-operator");
        ensure!(moved.count() == 1, "{of_tenant:?}");
        Ok(())
    }

    /// Offboards the company with its data, which only an administrator of the staff may, and sees nothing left.
    pub async fn let_go(&self, own: OwnInstance) -> anyhow::Result<()> {
        let confirmed = json!({ "confirm": self.company });
        let refused = self.operations.ask(Method::DELETE, &self.path(), Some(confirmed.clone())).await?;
        ensure!(refused.status == 403, "{refused:?}");
        for path in [self.path(), format!("/instances/{}", own.platform.name)] {
            let accepted = self.administrator.ask(Method::DELETE, &path, Some(confirmed.clone())).await?;
            ensure!(accepted.status == 202, "{path}: {accepted:?}");
        }
        own.gone().await;
        own.tenant.gone().await;
        remove_namespace(&own.platform.cluster, &own.namespace()).await
    }

    /// Changes the spec as it is now.
    async fn change(&self, change: impl Fn(&mut Value), instance: Option<Value>) -> anyhow::Result<()> {
        let seen = self.operations.ask(Method::GET, &self.path(), None).await?;
        let (mut spec, generation) = (seen.body["spec"].clone(), seen.body["generation"].clone());
        change(&mut spec);
        let mut body = json!({ "tenant": { "spec": spec, "seen": generation } });
        if let Some(instance) = instance {
            body["instance"] = instance;
        }
        self.plan(&body).await?;
        self.put(&body).await?;
        self.is_ready(|_| true).await;
        Ok(())
    }

    /// Has the console tell what would come of a change.
    async fn plan(&self, change: &Value) -> anyhow::Result<()> {
        let plan = self.operations.ask(Method::POST, &format!("{}/plan", self.path()), Some(change.clone())).await?;
        let is_empty = |field: &str| plan.body[field].as_array().is_some_and(Vec::is_empty);
        ensure!(plan.status == 200 && is_empty("errors") && is_empty("conflicts"), "{plan:?}");
        ensure!(!is_empty("changes"), "nothing would change: {plan:?}");
        Ok(())
    }

    async fn put(&self, change: &Value) -> anyhow::Result<()> {
        let answer = self.operations.ask(Method::PUT, &self.path(), Some(change.clone())).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// Follows the company's progress in the console until all of its present spec is done, and its status is as it is to be.
    async fn is_ready(&self, is_it: impl Fn(&Value) -> bool) {
        until(&format!("the console tells that {} is ready", self.company), LONGEST, || async {
            let seen = self.operations.ask(Method::GET, &self.path(), None).await?;
            let status = &seen.body["status"];
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let ready = conditions.into_iter().find(|one| one["type"] == "Ready").context("no Ready yet")?;
            ensure!(ready["observedGeneration"] == seen.body["generation"], "the spec was not looked at yet");
            ensure!(ready["status"] == "True", "{ready}");
            ensure!(is_it(status), "it is ready, but not as it is to be: {status}");
            Ok(())
        })
        .await;
    }
}
