//! `easycode plan`: what the operator would make of the objects in files, by the very functions that it uses itself.

pub mod catalogue;
pub mod changes;
mod live;
pub mod platform;
pub mod tenant;

use std::path::PathBuf;

use clap::Parser;
use jiff::Timestamp;
use kube::{Client, ResourceExt};

use self::{
    catalogue::Catalogue,
    changes::{Live, Section, summary},
    tenant::Planner,
};
use super::say;
use crate::{
    kubernetes::apply::Applier,
    platform::{
        namespace_of,
        plan::{self as platform_plan, Operator},
    },
    runtime::options::Options,
};

const LEGEND: &str = "\
Each line begins with a sign:
  +  would be made
  ~  would change, with the paths of the fields
  -  would be taken away
  =  is as planned
  !  keeps the object from becoming ready

Nothing is written. Postgres is not asked: what a tenant has there is taken from its status. Secrets are not shown.";

/// What to plan.
#[derive(clap::Args)]
#[command(after_help = LEGEND)]
pub struct Arguments {
    /// A file of YAML documents, or a folder of them; may be given several times.
    #[arg(short, long = "file", required = true)]
    files: Vec<PathBuf>,
    /// Don't ask the cluster: everything the files don't have is taken as not there.
    #[arg(long)]
    offline: bool,
}

/// Prints the plans.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut files = Catalogue::default();
    for path in &arguments.files {
        files.read(path)?;
    }
    let (cluster, applier) = if arguments.offline {
        (Catalogue::default(), None)
    } else {
        let client = Client::try_default().await?;
        (Catalogue::list(&client).await?, Some(Applier::new(client)))
    };
    let sections = sections(&files.applied_to(&cluster), &cluster, applier.as_ref()).await?;
    if sections.is_empty() {
        return say("nothing to plan: a Release makes nothing until a SharedPlatform names it\n");
    }
    for section in &sections {
        say(&section.to_string())?;
    }
    say(&format!("{}\n", summary(&sections)))
}

async fn sections(files: &Catalogue, cluster: &Catalogue, applier: Option<&Applier>) -> anyhow::Result<Vec<Section>> {
    let operator = operator();
    let mut sections = Vec::new();
    for platform in &files.platforms {
        let release = files.release(&platform.spec.release).or_else(|| cluster.release(&platform.spec.release));
        let planned = release.map(|release| platform_plan::objects(platform, release, &operator)).unwrap_or_default();
        let live = match applier {
            Some(applier) => live::of_platform(&planned, &namespace_of(&platform.name_any()), applier).await?,
            None => Live::new(),
        };
        let release = release.map(AsRef::as_ref);
        sections.push(platform::section(platform, release, &operator, &cluster.tenants, &live));
    }
    let planner = Planner::new(files, cluster);
    for tenant in &files.tenants {
        let plan = planner.plan(tenant, Timestamp::now());
        let live = match applier {
            Some(applier) => live::of(plan.config_map.as_slice(), applier).await?,
            None => Live::new(),
        };
        sections.push(tenant::section(tenant, &plan, &live));
    }
    Ok(sections)
}

/// The operator as its defaults, or the environment, name it.
fn operator() -> Operator {
    let options = Options::parse_from(["easycode-operator"]);
    Operator {
        namespace: options.namespace,
        service_account: options.service_account,
        namespace_role: options.namespace_role,
    }
}
