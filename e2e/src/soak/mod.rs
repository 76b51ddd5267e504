//! The soak: for a given time and seed, companies are onboarded, changed, moved and offboarded under load while parts of the cluster
//! are killed at random; then everything is checked, and taken away again.

mod acts;
mod checks;
mod company;
mod faults;
mod ground;
mod load;
mod report;
mod schedule;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    acts::Slot,
    company::{Company, PREFIX},
    report::Journal,
    schedule::{Acts, Faults},
};
use crate::cluster::Cluster;

/// Companies on the platform at a time, beside the one that moves.
const RESIDENTS: u64 = 3;

/// How long, and by which seed.
#[derive(Clone, Copy, Debug, clap::Parser)]
#[command(
    about = "Random faults under load, on the cluster that `make deploy` has prepared; then everything is checked"
)]
pub struct Options {
    /// For how long faults are caused. What is under way then is waited for, so it takes longer.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    pub minutes: u64,
    /// Repeats the decisions of a run; a random one, unless given.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Runs it, prints the report and writes it to `target/soak/report.json`. Fails if anything is wrong, or if it was interrupted, by
/// SIGINT or SIGTERM; either way everything that it has made is taken away first.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!(
        "soak: {} min by seed {seed}; again by: make soak MINUTES={} SEED={seed}",
        options.minutes, options.minutes
    );
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cluster = Cluster::connect().await?;
    let ended = CancellationToken::new();
    let soaked = {
        let soak = tokio::spawn(soak(cluster.clone(), Duration::from_mins(options.minutes), seed, ended.clone()));
        let aborter = soak.abort_handle();
        tokio::select! {
            soaked = soak => Some(soaked),
            _ = interrupt.recv() => { aborter.abort(); None }
            _ = terminate.recv() => { aborter.abort(); None }
        }
    };
    let Some(soaked) = soaked else {
        eprintln!("interrupted: taking away what was made");
        ended.cancel();
        faults::start_components().await?;
        ground::clear(&cluster).await?;
        bail!("interrupted; seed {seed}");
    };
    // Whatever was wrong, nothing of it stays.
    let journal = match soaked.map_err(anyhow::Error::from).flatten() {
        Ok(journal) => journal,
        Err(error) => {
            faults::start_components().await?;
            ground::clear(&cluster).await?;
            return Err(error.context(format!("seed {seed}")));
        }
    };
    let report = journal.report();
    report.write()?;
    print!("{}", report.table());
    ensure!(report.wrong_count == 0, "seed {seed}: {} findings: {}", report.wrong_count, report.wrong.join("; "));
    Ok(())
}

/// Causes faults for the time, checks everything, takes it away and checks that nothing is left.
async fn soak(cluster: Cluster, time: Duration, seed: u64, ended: CancellationToken) -> anyhow::Result<Arc<Journal>> {
    let journal = Arc::new(Journal::new(seed));
    eprintln!("[1/5] clearing what a run before has left; an instance");
    ground::clear(&cluster).await?;
    let mover = format!("{PREFIX}mover");
    let homes = ground::prepare(&cluster, &mover).await?;
    eprintln!("[2/5] load, acts and faults");
    let companies = Arc::new(Mutex::new(Vec::new()));
    let slot = |prefix: String, only: Option<String>| Slot {
        prefix,
        only,
        homes: homes.clone(),
        journal: Arc::clone(&journal),
        companies: Arc::clone(&companies),
    };
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    tasks.spawn(slot(mover.clone(), Some(mover)).run(Acts::new(seed, 0, true), ended.clone()));
    for number in 1..=RESIDENTS {
        let slot = slot(format!("{PREFIX}{number}"), None);
        tasks.spawn(slot.run(Acts::new(seed, number, false), ended.clone()));
    }
    tasks.spawn(faults::run(homes.clone(), Faults::new(seed), Arc::clone(&journal), ended.clone()));
    tokio::time::sleep(time).await;
    ended.cancel();
    journal.report().minutes = (begun.elapsed().as_secs_f64() / 6.0).round() / 10.0;
    eprintln!("[3/5] waiting for what is under way, and until everything is well again");
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task {
            journal.find(format!("a part of the soak itself failed: {error}"));
        }
    }
    if let Err(error) = ground::recover(&homes).await {
        journal.find(format!("{error:#}"));
    }
    eprintln!("[4/5] checking");
    let all: Vec<Arc<Company>> = companies.lock().unwrap().clone();
    let all: Vec<_> = all.iter().map(|company| &**company).collect();
    checks::check_companies(&all, &homes, &journal).await;
    eprintln!("[5/5] taking everything away");
    ground::clear(&cluster).await?;
    if let Err(error) = checks::check_nothing_left(&homes).await {
        journal.find(format!("{error:#}"));
    }
    Ok(journal)
}
