//! `easycode audit`: who changed what and when, and what the operator did with tenants' data for it. Read straight from the
//! databases of platforms and instances, with the caller's own rights to their Secrets.

pub mod table;

use std::collections::BTreeSet;

use anyhow::bail;
use easycode_crds::scalars::Duration;
use kube::Client;

use self::table::table;
use super::say;
use crate::{
    audit::trail::{self, Wanted, Way},
    stack::home::Home,
};

const NOTES: &str = "\
Each change of a spec, and each act of the operator on a tenant's data, is one record in the database of the platform or
the instance. A generation that came and went before the operator saw it has none.

WHO is the person that a console named with the change, by the annotation easycode.io/changed-by, and else the program
that wrote it, as it named itself: the API server tells a controller no more. Its own audit log has the authenticated
user. Where the last writer left no name, as in taking a field away, it is unknown.

Where the platform or the instance is gone, its records are read for as long as its namespace is there: deleting that
destroys them.

The caller needs to read Secrets in the platform's namespace, and to forward ports where its Postgres is in the cluster;
without --platform or --instance also to list platforms, instances and namespaces.";

/// Which records, and how to print them.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Arguments {
    /// Those of a tenant, wherever it lived.
    #[arg(long, conflicts_with_all = ["platform", "instance"])]
    tenant: Option<String>,
    /// Those of a platform and its tenants.
    #[arg(long, conflicts_with = "instance")]
    platform: Option<String>,
    /// Those of an instance and its tenant.
    #[arg(long)]
    instance: Option<String>,
    /// Those of the last while, such as 24h or 7d.
    #[arg(long)]
    since: Option<Duration>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// A table for people.
    Table,
    /// JSON for programs: a list.
    Json,
}

/// Prints the records, oldest first.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let homes = homes(&client, arguments).await?;
    let (tenant, since) = (arguments.tenant.clone(), arguments.since.map(Duration::get));
    let wanted = Wanted { tenant, uid: None, since, newest: None, patience: None };
    let trail = trail::read(&client, homes, &wanted, Way::Outside).await;
    say(&match arguments.output {
        Output::Table => table(&trail.records),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&trail.records)?),
    })?;
    if trail.unread.is_empty() {
        return Ok(());
    }
    let unread: Vec<_> = trail.unread.iter().map(|(home, why)| format!("{home}: {why}")).collect();
    bail!("not read: {}", unread.join("; "))
}

/// Where to look. A home that is named need not exist any more: its database may.
async fn homes(client: &Client, arguments: &Arguments) -> anyhow::Result<BTreeSet<Home>> {
    match (&arguments.platform, &arguments.instance) {
        (Some(name), _) => Ok([Home::Platform(name.clone())].into()),
        (_, Some(name)) => Ok([Home::Instance(name.clone())].into()),
        (None, None) => trail::homes::all(client, arguments.tenant.as_deref()).await,
    }
}
