//! One server.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::{
    folders,
    installation::{Installation, run},
};

/// How long a server may take to start or to stop.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to end at once before it is killed.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a server that starts or stops is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The superuser, who logs in by the socket alone.
const SUPERUSER: &str = "postgres";
/// The operator's login. No superuser, as on a managed Postgres.
const OPERATOR: &str = "easycode";
/// Its password, which opens nothing but a test's own server on loopback.
const PASSWORD: &str = "only-for-tests";
/// Commits outlive the server, as tests kill it, and not the machine, so nothing waits for a disk.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
shared_buffers = 32MB
max_connections = 200
dynamic_shared_memory_type = mmap
password_encryption = scram-sha-256
log_min_messages = warning
";
/// The superuser by the socket, which the operating system protects; everyone else by password.
const ACCESS: &str = "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name of the login.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database to connect to.
    pub database: String,
}

/// A running server, which ends and leaves nothing when it is dropped.
pub struct PostgresServer {
    installation: Installation,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl PostgresServer {
    /// Starts an empty server that knows the operator's login.
    pub async fn start() -> anyhow::Result<Self> {
        let installation = Installation::find()?;
        let base = base(&installation).await?;
        Self::start_copy(installation, &base).await
    }

    /// Starts a server as `prepare` leaves it. That runs once for each `key`, which has to name all that the outcome depends on.
    pub async fn start_prepared(
        key: &str,
        prepare: impl AsyncFnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let installation = Installation::find()?;
        let folder = folders::prepared(key)?;
        {
            let _lock = folders::lock(key)?;
            if !folder.exists() {
                let mut server = Self::start().await?;
                prepare(&server).await?;
                server.stop().await?;
                fs::rename(server.data(), &folder)?;
                folders::remove_unused()?;
            }
            folders::mark_used(&folder)?;
        }
        Self::start_copy(installation, &folder).await
    }

    async fn start_copy(installation: Installation, from: &Path) -> anyhow::Result<Self> {
        let folder = folders::fresh()?;
        installation.give(&folder)?;
        folders::copy(from, &folder.join("data"))?;
        let port = free_port()?;
        let mut server = Self { installation, folder, port, process: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it again on the same port, with the data that it has.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let log = fs::File::options().append(true).create(true).open(self.log())?;
        let mut command = self.installation.program("postgres", "QUIT");
        // In files of its folder, so that nothing outlives a server that is killed.
        command.args(["-c", "dynamic_shared_memory_type=mmap"]);
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k"]).arg(&self.folder);
        self.process = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        loop {
            let refusal = match PgConnection::connect_with(&self.superuser("postgres")).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(refusal) => refusal,
            };
            let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || started.elapsed() > START_TIMEOUT {
                bail!("Postgres does not start: {refusal}; {ended:?}\n{}", fs::read_to_string(self.log())?);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Stops it as an administrator would; sessions are ended.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        kill("INT", &[process.id()])?;
        await_end(process).await
    }

    /// Kills it with all its sessions, as a machine that goes down would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        let children = children(process.id())?;
        kill("KILL", &[&[process.id()][..], &children].concat())?;
        await_end(process).await?;
        // A session that is left holds the shared memory, and the server would not start again.
        while children.iter().any(|child| is_running(*child)) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Lets it answer nobody, with all its connections open, until [`Self::resume`].
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal_all("STOP")
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal_all("CONT")
    }

    /// How the operator logs in: it may make roles and databases, and is no superuser.
    #[must_use]
    pub fn operator(&self) -> Login {
        Login {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: OPERATOR.to_owned(),
            password: PASSWORD.to_owned(),
            database: OPERATOR.to_owned(),
        }
    }

    /// How the superuser connects to a database.
    #[must_use]
    pub fn superuser(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .port(self.port)
            .username(SUPERUSER)
            .database(database)
    }

    /// Runs SQL as the superuser and returns the rows as lines, the columns separated by `|`.
    pub async fn sql(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        let mut command = self.installation.program("psql", "TERM");
        let port = self.port.to_string();
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-p", &port, "-d", database, "-c", statement]);
        command.arg("-h").arg(&self.folder).current_dir("/");
        let rows = tokio::task::spawn_blocking(move || run(&mut command)).await??;
        Ok(rows.trim().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn signal_all(&self, signal: &str) -> anyhow::Result<()> {
        let postmaster = self.process.as_ref().context("the server is stopped")?.id();
        kill(signal, &[&[postmaster][..], &children(postmaster)?].concat())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // One that is killed leaves shared memory behind, so it is asked first. A server that is paused hears of nothing.
        let _ = self.resume();
        if let Some(mut process) = self.process.take() {
            let _ = kill("QUIT", &[process.id()]);
            let asked = Instant::now();
            while matches!(process.try_wait(), Ok(None)) {
                if asked.elapsed() > QUIT_TIMEOUT {
                    let _ = kill("KILL", &[process.id()]);
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        // Sessions end a moment later and may still write.
        for _ in 0..50 {
            match fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => std::thread::sleep(POLL_INTERVAL),
                _ => return,
            }
        }
    }
}

async fn await_end(mut process: Child) -> anyhow::Result<()> {
    let started = Instant::now();
    while process.try_wait()?.is_none() {
        ensure!(started.elapsed() < START_TIMEOUT, "Postgres does not stop");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// The data folder of an empty server with the operator's login, made once.
async fn base(installation: &Installation) -> anyhow::Result<PathBuf> {
    let version = installation.version()?.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
    let mut settings = DefaultHasher::new();
    (SETTINGS, ACCESS).hash(&mut settings);
    let folder = folders::root()?.join(format!("base-{version}-{:016x}", settings.finish()));
    let _lock = folders::lock("base")?;
    if folder.exists() {
        return Ok(folder);
    }
    let unfinished = folders::fresh()?;
    installation.give(&unfinished)?;
    let data = unfinished.join("data");
    let mut initdb = installation.program("initdb", "KILL");
    let flags = ["-U", SUPERUSER, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1"];
    run(initdb.args(flags).arg("-D").arg(&data).current_dir("/"))?;
    let configuration = data.join("postgresql.conf");
    fs::write(&configuration, fs::read_to_string(&configuration)? + SETTINGS)?;
    fs::write(data.join("pg_hba.conf"), ACCESS)?;
    let mut server =
        PostgresServer { installation: Installation::find()?, folder: unfinished, port: free_port()?, process: None };
    server.start_again().await?;
    let mut session = PgConnection::connect_with(&server.superuser("postgres")).await?;
    let login = format!("CREATE ROLE {OPERATOR} LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}'");
    session.execute(sqlx::AssertSqlSafe(login)).await?;
    session.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {OPERATOR} OWNER {OPERATOR}"))).await?;
    session.close().await?;
    server.stop().await?;
    fs::rename(server.data(), &folder)?;
    Ok(folder)
}

/// A port that is free now. Another may take it before the server does, which then fails to start.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The processes that the one has started.
fn children(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while it is looked at. Its parent is the second field after its name in parentheses.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        if fields.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(parent) {
            children.push(id);
        }
    }
    Ok(children)
}

/// Sends a signal to all of them that are still there.
fn kill(signal: &str, processes: &[u32]) -> anyhow::Result<()> {
    for process in processes {
        let sent = run(Command::new("kill").arg(format!("-{signal}")).arg(process.to_string()));
        if sent.is_err() && is_running(*process) {
            sent?;
        }
    }
    Ok(())
}

fn is_running(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}
