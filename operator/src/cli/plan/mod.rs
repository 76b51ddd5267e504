//! `easycode plan`: what the operator would make of the objects in files, by the very functions that it uses itself.

pub mod catalogue;
pub mod changes;
mod live;
pub mod preview;
pub mod stack;
pub mod tenant;

use std::path::PathBuf;

use clap::Parser;
use jiff::Timestamp;
use kube::{Client, ResourceExt};

use self::{
    catalogue::Catalogue,
    changes::{Live, Section, summary},
    stack::Known,
    tenant::Planner,
};
use super::say;
use crate::{
    instance,
    kubernetes::apply::Applier,
    platform,
    runtime::options::Options,
    stack::{blueprint::Blueprint, home::Home, plan as stack_plan},
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
        return say(
            "nothing to plan: a Release makes nothing until a SharedPlatform or a DedicatedInstance names it, nor does a ReleaseChannel that no instance follows\n",
        );
    }
    for section in &sections {
        say(&section.to_string())?;
    }
    say(&format!("{}\n", summary(&sections)))
}

async fn sections(files: &Catalogue, cluster: &Catalogue, applier: Option<&Applier>) -> anyhow::Result<Vec<Section>> {
    let operator = Options::parse_from(["easycode-operator"]).operator();
    let offer = files.offer_over(cluster);
    let mut sections = Vec::new();
    for platform in &files.platforms {
        let Some(release) = offer.release(&platform.spec.release) else {
            let title = Home::Platform(platform.name_any()).to_string();
            sections.push(stack::without_release(title, platform::missing(&platform.spec.release)));
            continue;
        };
        let blueprint = platform::plan::blueprint(platform, release, &operator);
        let services = platform.status.as_ref().map(|status| status.services.as_slice()).unwrap_or_default();
        let leaving = platform.metadata.deletion_timestamp.is_some();
        let live = live_of(&blueprint, applier).await?;
        let known = Known { leaving, services, tenants: &cluster.tenants, live: &live };
        sections.push(stack::section(&blueprint, known));
    }
    // Those in the cluster, too, that follow a channel in the files, or stay on a version that is new by them.
    let followers = cluster.instances.iter().filter(|one| {
        let wanted = &one.spec.release;
        let follows = wanted.channel.as_ref().is_some_and(|name| files.channel(name).is_some());
        let stays = files.releases.iter().any(|release| wanted.version.as_ref() == Some(&release.spec.version));
        (follows || stays) && files.instance(&one.name_any()).is_none()
    });
    for instance in files.instances.iter().chain(followers) {
        let release = match offer.wanted(&instance.spec.release) {
            Ok(release) => release,
            Err(why) => {
                let title = Home::Instance(instance.name_any()).to_string();
                sections.push(stack::without_release(title, why.message));
                continue;
            }
        };
        let name = &instance.spec.tenant_ref.name;
        let tenant = files.tenant(name).or_else(|| cluster.tenant(name));
        let blueprint = instance::plan::blueprint(instance, tenant, &release, &operator);
        let services = instance.status.as_ref().map(|status| status.services.as_slice()).unwrap_or_default();
        let leaving = instance.metadata.deletion_timestamp.is_some();
        let live = live_of(&blueprint, applier).await?;
        let known = Known { leaving, services, tenants: &cluster.tenants, live: &live };
        sections.push(stack::section(&blueprint, known));
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

/// What the cluster has of a stack.
async fn live_of(blueprint: &Blueprint<'_>, applier: Option<&Applier>) -> anyhow::Result<Live> {
    match applier {
        Some(applier) => live::of_stack(&stack_plan::objects(blueprint), &blueprint.namespace(), applier).await,
        None => Ok(Live::new()),
    }
}
