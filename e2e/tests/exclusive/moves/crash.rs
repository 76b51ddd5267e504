//! The operator killed at each phase: when its work is done and what follows is not written yet, and amid the work.

use anyhow::ensure;
use easycode_crds::tenant::MovePhase;
use easycode_e2e::{block::Block, operator::Operator, platform::Platform, wait::until};
use easycode_operator::stack::home::Home;
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};

use super::{MOVE_TIMEOUT, Mover, work::Work};

/// When the operator is killed.
enum Kill<'a> {
    /// When it is about to write that the phase has begun; its successor is let write it.
    Before(&'a str),
    /// While the work of the phase waits for a lock in Postgres; its successor does it again.
    Amid(&'a str, Lock<'a>),
}

/// What keeps work waiting in Postgres.
struct Lock<'a> {
    /// Where.
    home: &'a Platform,
    /// Secret of whom.
    login: &'a str,
    /// In which database, if not the login's own.
    database: Option<&'a str>,
    statement: String,
}

impl Kill<'_> {
    fn phase(&self) -> &str {
        match self {
            Kill::Before(phase) | Kill::Amid(phase, _) => phase,
        }
    }

    /// Kills the operator, which is held there.
    async fn strike(&self, mover: &Mover, held: Block) -> anyhow::Result<()> {
        let operator = Operator::of(&mover.shared.platform.cluster);
        held.reached().await;
        match self {
            Kill::Before(phase) => {
                println!("about to write {phase}");
                operator.kill().await?;
                held.lift().await
            }
            Kill::Amid(phase, lock) => {
                let session = lock.take().await?;
                held.lift().await?;
                lock.is_waited_for(session.1).await;
                println!("amid {phase}");
                operator.kill().await?;
                // What was asked of Postgres goes on there, though nobody waits for it any more.
                Ok(session.0.close().await?)
            }
        }
    }
}

/// Asks for a move and kills the operator in it, at one place after the other.
async fn strike(
    kills: &[Kill<'_>],
    mover: &Mover,
    ask: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    Operator::of(&mover.shared.platform.cluster).aim().await?;
    let held = try_join_all(kills.iter().map(|kill| mover.held_before(kill.phase()))).await?;
    ask().await?;
    for (kill, held) in kills.iter().zip(held) {
        kill.strike(mover, held).await?;
    }
    Ok(())
}

impl Lock<'_> {
    /// Takes it; returns the session that holds it and its number.
    async fn take(&self) -> anyhow::Result<(PgConnection, i32)> {
        let login = self.home.login(self.login).await?;
        let login = self.database.map_or(login.clone(), |database| login.database(database));
        let mut session = PgConnection::connect_with(&login).await?;
        raw_sql(AssertSqlSafe(format!("BEGIN; {}", self.statement))).execute(&mut session).await?;
        let number = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await?;
        Ok((session, number))
    }

    async fn is_waited_for(&self, holder: i32) {
        let waiting = format!("SELECT count(*) FROM pg_stat_activity WHERE {holder} = ANY (pg_blocking_pids(pid))");
        until("the work waits for the lock", MOVE_TIMEOUT, || async {
            ensure!(self.home.sql("postgres", &waiting).await? != "0", "nobody waits");
            Ok(())
        })
        .await;
    }
}

/// Moves the tenant to the home while people work and the operator is killed.
async fn move_with(kills: &[Kill<'_>], mover: &Mover, to: &Home) -> anyhow::Result<()> {
    let work = Work::begin(mover).await?;
    let instance = mover.own.platform.home == *to;
    strike(kills, mover, async || if instance { mover.go().await } else { mover.come_back().await }).await?;
    mover.arrives(to).await?;
    mover.reaches(MovePhase::Done).await;
    let seen = work.end().await?;
    let home = if instance { &mover.own.platform } else { &mover.shared.platform };
    mover.has(home, &seen).await?;
    mover.left_no_tools().await
}

#[tokio::test]
async fn whichever_phase_the_operator_is_killed_in_the_move_goes_on() -> anyhow::Result<()> {
    let mover = Mover::create("crash").await?;
    let (shared, own) = (&mover.shared.platform.home, &mover.own.platform.home);
    move_with(&["Preparing", "Freezing", "Verifying", "Done"].map(Kill::Before), &mover, own).await?;
    move_with(&["Copying", "CatchingUp", "CuttingOver"].map(Kill::Before), &mover, shared).await?;
    mover.remove().await
}

#[tokio::test]
async fn amid_whichever_work_the_operator_is_killed_the_move_goes_on() -> anyhow::Result<()> {
    let mover = Mover::create("amid").await?;
    let (shared, own) = (&mover.shared.platform, &mover.own.platform);
    let role = mover.shared.role();
    let registry = || Lock {
        home: own,
        login: "postgres-operator",
        database: None,
        statement: "LOCK TABLE easycode.tenant IN ACCESS EXCLUSIVE MODE".to_owned(),
    };
    let contacts = |home, mode| Lock {
        home,
        login: "database-mig-crm",
        database: None,
        statement: format!("SET ROLE {role}; LOCK TABLE {role}.contact IN {mode} MODE"),
    };
    let schema = Lock {
        home: own,
        login: "postgres-operator",
        database: Some("crm"),
        statement: format!("CREATE SCHEMA {role}"),
    };
    // The copy is prepared where nothing is yet, and then made by a job.
    move_with(&[Kill::Amid("Copying", schema), Kill::Amid("CuttingOver", registry())], &mover, &own.home).await?;
    let back = [
        Kill::Amid("Freezing", contacts(own, "ROW EXCLUSIVE")),
        Kill::Amid("CatchingUp", contacts(shared, "ACCESS EXCLUSIVE")),
        Kill::Amid("Verifying", contacts(shared, "ACCESS EXCLUSIVE")),
    ];
    move_with(&back, &mover, &shared.home).await?;
    move_with(&[Kill::Amid("Copying", registry())], &mover, &own.home).await?;
    mover.remove().await
}

#[tokio::test]
async fn whichever_phase_the_operator_is_killed_in_the_move_is_given_up() -> anyhow::Result<()> {
    let mover = Mover::create("crashback").await?;
    let home = mover.shared.platform.clone();
    let work = Work::begin(&mover).await?;
    let held = mover.go_as_far_as("CuttingOver").await?;
    let kills = ["Cancelling", "Clearing", "Cancelled"].map(Kill::Before);
    strike(&kills, &mover, async || mover.come_back().await).await?;
    held.lift().await?;
    mover.reaches(MovePhase::Cancelled).await;
    mover.arrives(&home.home).await?;
    let seen = work.end().await?;
    mover.has(&home, &seen).await?;
    mover.left_no_tools().await?;
    mover.remove().await
}
