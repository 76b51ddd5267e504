//! `easycode plan`: what the operator would make of the objects in files, by the very functions that it uses itself.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Parser;
use easycode_contract::database::Identifier;
use easycode_crds::{Release, SharedPlatform, Tenant};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    kubernetes::{
        apply::Applier,
        object::{Kind, Planned},
    },
    platform::plan::{self as platform_plan, Operator},
    postgres::survey::TenantData,
    runtime::options::Options,
    tenant::{
        observe::{DatabaseView, Observed},
        placement::Placement,
        plan as tenant_plan,
    },
};

/// What to plan.
#[derive(clap::Args)]
pub struct Arguments {
    /// A file of YAML documents, or a folder of them; may be given several times.
    #[arg(short, long = "file", required = true)]
    files: Vec<PathBuf>,
    /// Don't ask the cluster: everything the files don't have is taken as not there.
    #[arg(long)]
    offline: bool,
}

#[derive(Default)]
struct Catalogue {
    tenants: Vec<Tenant>,
    platforms: Vec<Arc<SharedPlatform>>,
    releases: Vec<Arc<Release>>,
}

/// Prints the plans.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut files = Catalogue::default();
    for path in &arguments.files {
        files.read(path)?;
    }
    let client = if arguments.offline { None } else { Some(Client::try_default().await?) };
    let mut all =
        Catalogue { tenants: Vec::new(), platforms: files.platforms.clone(), releases: files.releases.clone() };
    if let Some(client) = &client {
        all.complete(client).await?;
    }
    let live = client.map(Applier::new);
    let options = Options::parse_from(["easycode-operator"]);
    let operator = Operator {
        namespace: options.namespace,
        service_account: options.service_account,
        namespace_role: options.namespace_role,
    };
    for platform in &files.platforms {
        println!("SharedPlatform {}", platform.name_any());
        match all.release(&platform.spec.release) {
            None => println!("  ! Release {} does not exist", platform.spec.release),
            Some(release) => print(&platform_plan::objects(platform, release, &operator), live.as_ref()).await?,
        }
    }
    let placement = Placement::default();
    for tenant in &files.tenants {
        println!("Tenant {}", tenant.name_any());
        let known = all.tenants.iter().find(|one| one.name_any() == tenant.name_any());
        // What was observed of it comes from the cluster, what is wanted from the file.
        let mut tenant = tenant.clone();
        tenant.status = known.and_then(|known| known.status.clone());
        tenant.metadata.uid = known.and_then(|known| known.metadata.uid.clone());
        plan_tenant(&tenant, &all, &placement, live.as_ref()).await?;
    }
    Ok(())
}

async fn plan_tenant(
    tenant: &Tenant,
    all: &Catalogue,
    placement: &Placement,
    live: Option<&Applier>,
) -> anyhow::Result<()> {
    let placed = placement.place(tenant, all.tenants.iter(), &all.platforms);
    let platform = placed.map(|name| {
        Arc::clone(all.platforms.iter().find(|one| one.name_any() == name).expect("placement names one of these"))
    });
    let release = platform.as_ref().ok().and_then(|platform| all.release(&platform.spec.release));
    let published = release.iter().flat_map(|release| &release.spec.services);
    let database = DatabaseView {
        tenant: recorded(tenant),
        published: published.map(|service| (service.name.clone(), service.schema_version)).collect(),
    };
    let observed = Observed { platform, release: release.cloned(), database: Some(database) };
    let plan = tenant_plan::plan(tenant, &observed, Timestamp::now());
    for finding in plan.findings.iter().filter(|finding| finding.status != Some(true)) {
        println!("  ! {}: {}", finding.reason, finding.message);
    }
    if let Some(platform) = &plan.platform {
        println!("  on SharedPlatform {platform}");
    }
    for step in &plan.steps {
        println!("  + Postgres: {step}");
    }
    print(plan.config_map.as_slice(), live).await
}

/// What the tenant's status says that it has in the database.
fn recorded(tenant: &Tenant) -> TenantData {
    let Some(status) = tenant.status.as_ref().filter(|status| !status.services.is_empty()) else {
        return TenantData::default();
    };
    let mut data = TenantData { role_exists: true, uid: tenant.uid(), ..TenantData::default() };
    for service in &status.services {
        data.schemas.insert(service.service.clone(), service.schema_version);
        let login =
            |make: fn(&str) -> Result<Identifier, _>| make(&service.service).map(|name| name.as_str().to_owned());
        data.members.extend(login(Identifier::migration_login));
        if service.entitled {
            data.members.extend(login(Identifier::service_login));
        }
        if let Some(until) = service.retained_until.as_ref().and_then(|until| until.parse().ok()) {
            data.withdrawn.insert(service.service.clone(), until);
        }
    }
    data
}

async fn print(objects: &[Planned], live: Option<&Applier>) -> anyhow::Result<()> {
    for object in objects {
        let sign = match live {
            None => '+',
            Some(live) => match live.api(object.kind, &object.namespace).get_opt(&object.name).await? {
                None => '+',
                Some(present) if object.is_satisfied_by(&present) => '=',
                Some(_) => '~',
            },
        };
        let place = if object.kind == Kind::Namespace { String::new() } else { format!("{}/", object.namespace) };
        println!("  {sign} {:?} {place}{}", object.kind, object.name);
    }
    Ok(())
}

impl Catalogue {
    fn read(&mut self, path: &PathBuf) -> anyhow::Result<()> {
        if path.is_dir() {
            let mut paths: Vec<_> =
                fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
            paths.sort();
            return paths.iter().try_for_each(|path| self.read(path));
        }
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is no YAML", path.display()))?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            let kind = document["kind"].as_str().unwrap_or_default().to_owned();
            let named = || format!("{}: {kind} {}", path.display(), document["metadata"]["name"]);
            match kind.as_str() {
                "Tenant" => self.tenants.push(parse(&document).with_context(named)?),
                "SharedPlatform" => self.platforms.push(Arc::new(parse(&document).with_context(named)?)),
                "Release" => self.releases.push(Arc::new(parse(&document).with_context(named)?)),
                other => bail!("{}: this plans Tenant, SharedPlatform and Release, not {other:?}", path.display()),
            }
        }
        Ok(())
    }

    async fn complete(&mut self, client: &Client) -> anyhow::Result<()> {
        let everything = ListParams::default();
        self.tenants = Api::<Tenant>::all(client.clone()).list(&everything).await?.items;
        for platform in Api::<SharedPlatform>::all(client.clone()).list(&everything).await? {
            if !self.platforms.iter().any(|one| one.name_any() == platform.name_any()) {
                self.platforms.push(Arc::new(platform));
            }
        }
        for release in Api::<Release>::all(client.clone()).list(&everything).await? {
            if self.release(&release.name_any()).is_none() {
                self.releases.push(Arc::new(release));
            }
        }
        Ok(())
    }

    fn release(&self, name: &str) -> Option<&Arc<Release>> {
        self.releases.iter().find(|release| release.name_any() == name)
    }
}

fn parse<T: DeserializeOwned>(document: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(document)
}
