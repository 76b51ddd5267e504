//! `easycode status`: tenants as trees, from the promise in the spec down to what serves it.

mod observe;
pub mod report;
pub mod tree;

use anyhow::bail;
use easycode_crds::conditions;
use kube::Client;

use self::{report::Report, tree::tree};
use super::say;

const LEGEND: &str = "\
Each line begins with a mark:
  ✔  well
  …  on its way, or waiting as asked to
  ✘  wrong; the message says what to do

Exits with 1 if the named tenant is not ready for the newest generation of its spec.";

/// Which tenants, and how to print them.
#[derive(clap::Args)]
#[command(after_help = LEGEND)]
pub struct Arguments {
    /// One tenant; all without it.
    tenant: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Tree)]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// A tree for people.
    Tree,
    /// JSON for programs: one object for a named tenant, else a list.
    Json,
}

/// Prints the tenants.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let reports: Vec<_> =
        observe::observe(&client, arguments.tenant.as_deref()).await?.iter().map(Report::new).collect();
    match (arguments.output, &arguments.tenant, reports.as_slice()) {
        (Output::Tree, ..) => say(&reports.iter().map(tree).collect::<String>())?,
        (Output::Json, Some(_), [report]) => say(&format!("{}\n", serde_json::to_string_pretty(report)?))?,
        (Output::Json, ..) => say(&format!("{}\n", serde_json::to_string_pretty(&reports)?))?,
    }
    match (&arguments.tenant, reports.as_slice()) {
        (Some(name), [report]) if !report.ready => {
            let condition = report.conditions.iter().find(|one| one.type_ == conditions::READY && one.status != "True");
            let reason =
                condition.map_or("the operator has not looked at its newest spec yet", |one| one.reason.as_str());
            bail!("Tenant {name} is not ready: {reason}");
        }
        _ => Ok(()),
    }
}
