//! Carries out the acts of one slot: each is asked for by the API server, and waited for until it is in force.

use std::sync::{Arc, Mutex};

use anyhow::ensure;
use tokio_util::sync::CancellationToken;

use super::{
    company::{Company, Expected, Homes, retry},
    load::Load,
    report::Journal,
    schedule::{Act, Acts, Site},
};

/// A slot in which one company after the other lives.
pub struct Slot {
    /// What the names of its companies begin with.
    pub prefix: String,
    /// The name of all of its companies, if there is only one.
    pub only: Option<String>,
    /// The homes that companies may be in.
    pub homes: Homes,
    /// Where everything is noted.
    pub journal: Arc<Journal>,
    /// All companies that there were, of all slots.
    pub companies: Arc<Mutex<Vec<Arc<Company>>>>,
}

impl Slot {
    /// Carries the acts out until the end of faults. An act that does not take effect is noted as wrong, and is the slot's last.
    pub async fn run(self, acts: Acts, ended: CancellationToken) {
        let mut number = 0;
        let mut present: Option<(Arc<Company>, Load)> = None;
        for (pause, act) in acts {
            tokio::select! {
                () = ended.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            if act == Act::Onboard {
                number += 1;
                let name = self.only.clone().unwrap_or_else(|| format!("{}-{number}", self.prefix));
                let company = Arc::new(Company::new(name, self.homes.clone()));
                self.companies.lock().unwrap().push(Arc::clone(&company));
                let load = Load::begin(Arc::clone(&company), Arc::clone(&self.journal));
                present = Some((company, load));
            }
            let Some((company, _)) = &present else { break };
            eprintln!("  {}: {}", company.name, act.kind());
            *self.journal.report().acts.entry(act.kind()).or_default() += 1;
            if let Err(error) = perform(company, &act).await {
                self.journal.find(format!("{}: {}: {error:#}", company.name, act.kind()));
                break;
            }
            if let Act::Offboard(_) = act
                && let Some((_, load)) = present.take()
            {
                load.end().await;
            }
        }
        if let Some((_, load)) = present {
            load.end().await;
        }
    }
}

/// Asks for the act, and waits until the company is as it asks for.
async fn perform(company: &Company, act: &Act) -> anyhow::Result<()> {
    company.expect(Expected::Either);
    {
        let mut wanted = company.wanted();
        match act {
            Act::Onboard => {}
            Act::Entitle(services) => wanted.entitled.clone_from(services),
            Act::Suspend => wanted.suspended = true,
            Act::Resume => wanted.suspended = false,
            Act::MoveToInstance => wanted.site = Site::Instance,
            Act::MoveToPlatform => wanted.site = Site::Platform,
            Act::Offboard(policy) => wanted.offboarded = Some(*policy),
        }
    }
    let spec = company.spec();
    retry("its spec is accepted", || async { company.tenant().apply(spec.clone()).await.map(drop) }).await?;
    if matches!(act, Act::Offboard(_)) {
        delete(company).await?;
    } else {
        retry("its status is right", || company.check_status()).await?;
    }
    retry("its people are answered as they must be", || company.check_answer()).await?;
    company.expect(company.expected_when_settled());
    Ok(())
}

/// Deletes the tenant as its policy says, and waits until the object is gone.
pub async fn delete(company: &Company) -> anyhow::Result<()> {
    let tenant = company.tenant();
    retry("it is gone", || async {
        let Some(found) = tenant.api().get_opt(&tenant.name).await? else { return Ok(()) };
        if found.metadata.deletion_timestamp.is_none() {
            tenant.delete().await?;
        }
        let conditions = found.status.map(|status| status.conditions);
        ensure!(tenant.api().get_opt(&tenant.name).await?.is_none(), "it is still there: {conditions:?}");
        Ok(())
    })
    .await
}
