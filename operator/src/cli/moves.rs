//! `easycode move`: how far a tenant's move between homes is, or how the last one went.

use std::time::Duration;

use anyhow::{Context, bail};
use easycode_crds::{
    Tenant,
    tenant::{HomeRef, MovePhase, Relocation},
};
use kube::{Api, Client};

use super::say;
use crate::tenant::placement::placed_on;

const PHASES: &str = "\
A move is asked for by spec.deployment, and given up by setting that back before the phase CuttingOver.
  Preparing    waits until the other home can take the tenant, which is served as ever
  Copying      copies the data, while the tenant works on
  Freezing     stops writes; from here on the tenant's data can be read only
  CatchingUp   copies again what was written since the copy began
  Verifying    compares rows and checksums of every table
  CuttingOver  the tenant lives in the other home and can write; the old one is closed
  Done         the copy in the old home is kept for spec.retention
  Cancelling, Clearing, Cancelled, Failed
               the move is undone: writes first, then what was made in the other home

Exits with 1 if the move failed.";

/// Whose move, and whether to wait for its end.
#[derive(clap::Args)]
#[command(after_help = PHASES)]
pub struct Arguments {
    /// The tenant.
    tenant: String,
    /// Print again whenever something changes, until the move ends.
    #[arg(short, long)]
    watch: bool,
}

/// Prints the move.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let api: Api<Tenant> = Api::all(Client::try_default().await?);
    let mut last = String::new();
    loop {
        let tenant = api.get_opt(&arguments.tenant).await.context("reading the tenant")?;
        let Some(tenant) = tenant else { bail!("Tenant {} does not exist", arguments.tenant) };
        let report = report(&tenant);
        if report != last {
            let gap = if last.is_empty() { "" } else { "\n" };
            say(&format!("{gap}{report}"))?;
            last = report;
        }
        let relocation = tenant.status.as_ref().and_then(|status| status.relocation.as_ref());
        // A move that was just asked for is not in the status yet.
        let current =
            tenant.status.as_ref().and_then(|status| status.observed_generation) == tenant.metadata.generation;
        let phase = relocation.map_or(MovePhase::Done, |relocation| relocation.phase);
        match phase {
            MovePhase::Failed if current || !arguments.watch => bail!("the move of Tenant {} failed", arguments.tenant),
            MovePhase::Done | MovePhase::Cancelled if current => return Ok(()),
            _ if !arguments.watch => return Ok(()),
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// A few lines on the move, under way or the last one, and on the copies that are kept.
#[must_use]
pub fn report(tenant: &Tenant) -> String {
    let Some(status) = &tenant.status else { return "nothing is known of the tenant yet\n".to_owned() };
    let stays = || {
        let home = placed_on(tenant).map_or_else(|| "no home yet".to_owned(), |home| home.to_string());
        vec![("lives on", format!("{home}; it has not moved"))]
    };
    let mut lines = status.relocation.as_ref().map_or_else(stays, told);
    for former in &status.former_homes {
        lines.push(("keeps", format!("a copy on {} {} until {}", former.kind, former.name, former.retained_until)));
    }
    let line = |(what, text)| {
        let what = format!("{what}:");
        format!("{what:<11}{text}\n")
    };
    lines.into_iter().map(line).collect::<Vec<_>>().concat()
}

fn told(relocation: &Relocation) -> Vec<(&'static str, String)> {
    let named = |home: &HomeRef| format!("{} {}", home.kind, home.name);
    let since = relocation.phase_since.as_deref().map(|since| format!(" since {since}")).unwrap_or_default();
    let mut lines = vec![
        ("from", named(&relocation.from)),
        ("to", named(&relocation.to)),
        ("phase", format!("{:?}{since}", relocation.phase)),
    ];
    lines.extend(relocation.started_at.clone().map(|started| ("began", started)));
    if !relocation.services.is_empty() {
        lines.push(("services", relocation.services.join(", ")));
    }
    if let (Some(tables), Some(rows)) = (relocation.tables, relocation.rows) {
        lines.push(("compared", format!("{tables} tables with {rows} rows, equal on both sides")));
    }
    if let Some(rows) = relocation.rows_caught_up {
        lines.push(("caught up", format!("{rows} rows were copied once more")));
    }
    let frozen = relocation.frozen_at.as_deref();
    lines.extend(match (relocation.write_downtime_ms, frozen) {
        (Some(millis), _) => Some(("writes", format!("stopped for {}.{:03} s", millis / 1_000, millis % 1_000))),
        (None, Some(frozen))
            if !matches!(relocation.phase, MovePhase::Clearing | MovePhase::Cancelled | MovePhase::Failed) =>
        {
            Some(("writes", format!("stopped since {frozen}")))
        }
        _ => None,
    });
    lines.extend(relocation.cut_over_at.clone().map(|at| ("cut over", at)));
    lines.extend(relocation.message.clone().filter(|message| !message.is_empty()).map(|message| ("says", message)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_told_in_a_few_lines() {
        let mut tenant =
            Tenant::new("acme", serde_json::from_value(serde_json::json!({"displayName": "Acme"})).unwrap());
        tenant.status = Some(
            serde_json::from_value(serde_json::json!({
                "instance": "acme",
                "move": {
                    "from": { "kind": "SharedPlatform", "name": "eu1" }, "to": { "kind": "DedicatedInstance", "name": "acme" },
                    "phase": "Done", "phaseSince": "2026-11-24T10:00:07Z", "startedAt": "2026-11-24T10:00:00Z",
                    "frozenAt": "2026-11-24T10:00:01Z", "cutOverAt": "2026-11-24T10:00:04Z", "writeDowntimeMs": 3042,
                    "services": ["crm", "tenant-service"], "tables": 8, "rows": 120,
                    "copiedUntil": "741", "rowsCaughtUp": 3, "message": null,
                },
                "formerHomes": [{ "kind": "SharedPlatform", "name": "eu1", "retainedUntil": "2026-12-24T10:00:04Z" }],
            }))
            .unwrap(),
        );
        let expected = "\
from:      SharedPlatform eu1
to:        DedicatedInstance acme
phase:     Done since 2026-11-24T10:00:07Z
began:     2026-11-24T10:00:00Z
services:  crm, tenant-service
compared:  8 tables with 120 rows, equal on both sides
caught up: 3 rows were copied once more
writes:    stopped for 3.042 s
cut over:  2026-11-24T10:00:04Z
keeps:     a copy on SharedPlatform eu1 until 2026-12-24T10:00:04Z
";
        assert_eq!(report(&tenant), expected);
    }
}
