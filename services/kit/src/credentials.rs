//! How the service logs in to its database, read from the mounted Secret, and followed when that changes: connections with
//! the credentials of before are replaced one by one, each when its request is done.

use std::{
    collections::BTreeMap,
    fs,
    future::ready,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Names of the files, of which the last may be missing.
const FIELDS: [&str; 7] = ["host", "port", "user", "password", "dbname", "sslmode", "ca.crt"];
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a connection counts as alive without being asked: it is asked whenever it is given back, and asking costs a round trip.
const UNTESTED: Duration = Duration::from_secs(1);

type Fields = BTreeMap<&'static str, String>;

/// Reads how to connect from the folder of one file a field.
pub fn options(folder: &Path) -> anyhow::Result<PgConnectOptions> {
    parse(&read(folder)?)
}

/// A pool that connects when first used.
#[must_use]
pub fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    pool_options(connections).connect_lazy_with(options)
}

/// A pool whose credentials are those in the folder at any time: the kubelet renews a mounted Secret in place.
pub(crate) fn following_pool(folder: PathBuf, connections: u32) -> anyhow::Result<PgPool> {
    let known = read(&folder)?;
    let changed = Changed::default();
    let seen = changed.clone();
    let pool = pool_options(connections)
        .after_release(move |_, connection| Box::pin(ready(Ok(!seen.is_later_than(connection.age)))))
        .connect_lazy_with(parse(&known)?);
    tokio::spawn(follow(pool.clone(), folder, known, changed));
    Ok(pool)
}

fn pool_options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_mins(5))
        .test_before_acquire(false)
        .before_acquire(|connection, its| {
            Box::pin(async move {
                if its.idle_for >= UNTESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// All fields, as they were at one time. The kubelet changes them all at once, by a link to the folder that holds them.
fn read(folder: &Path) -> anyhow::Result<Fields> {
    let linked = || fs::canonicalize(folder.join("..data")).ok();
    let data = linked();
    let mut fields = Fields::new();
    for name in FIELDS {
        let path = data.as_deref().unwrap_or(folder).join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                fields.insert(name, text.trim().to_owned());
            }
            Err(error) if name == "ca.crt" && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    ensure!(linked() == data, "they are just being renewed");
    Ok(fields)
}

fn parse(fields: &Fields) -> anyhow::Result<PgConnectOptions> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&fields["host"])
        .port(fields["port"].parse().context("port is no number")?)
        .username(&fields["user"])
        .password(&fields["password"])
        .database(&fields["dbname"])
        .ssl_mode(fields["sslmode"].parse()?);
    if let Some(certificate) = fields.get("ca.crt") {
        options = options.ssl_root_cert_from_pem(certificate.clone().into_bytes());
    }
    Ok(options)
}

/// When the credentials changed last, if they did.
#[derive(Clone, Default)]
struct Changed(Arc<Mutex<Option<Instant>>>);

impl Changed {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of this age may have been made with the credentials of before: it was being made when they
    /// changed, at the latest.
    fn is_later_than(&self, age: Duration) -> bool {
        let changed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changed.is_some_and(|changed| age + ACQUIRE > changed.elapsed())
    }
}

async fn follow(pool: PgPool, folder: PathBuf, mut known: Fields, changed: Changed) {
    loop {
        tokio::time::sleep(LOOK).await;
        let present = match read(&folder) {
            Ok(present) if present == known => continue,
            Ok(present) => present,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the database credentials can't be read");
                continue;
            }
        };
        match parse(&present) {
            Ok(options) => {
                pool.set_connect_options(options);
                changed.now();
                // Those in use are closed when they are given back.
                for _ in 0..pool.num_idle() {
                    if let Some(idle) = pool.try_acquire() {
                        let _ = idle.close().await;
                    }
                }
                tracing::info!("the database credentials have changed; connections are made anew");
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "changed database credentials can't be used"),
        }
        known = present;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder as the kubelet mounts a Secret.
    fn mounted(root: &Path, generation: &str, user: &str, authority: bool) {
        let data = root.join(generation);
        fs::create_dir_all(&data).unwrap();
        for (name, text) in [("host", "h"), ("port", "5432"), ("dbname", "crm"), ("password", user), ("user", user)] {
            fs::write(data.join(name), format!("{text}\n")).unwrap();
        }
        fs::write(data.join("sslmode"), if authority { "verify-full" } else { "prefer" }).unwrap();
        if authority {
            fs::write(data.join("ca.crt"), "PEM").unwrap();
        }
        let link = root.join("..data");
        let _ = fs::remove_file(&link);
        symlink(generation, &link).unwrap();
    }

    #[test]
    fn a_renewed_secret_is_read_as_a_whole() {
        let root = std::env::temp_dir().join(format!("easycode-credentials-{}", std::process::id()));
        mounted(&root, "..1", "svc_crm", false);
        let before = read(&root).unwrap();
        assert_eq!((before["user"].as_str(), before.get("ca.crt")), ("svc_crm", None));
        mounted(&root, "..2", "svc2_crm", true);
        let after = read(&root).unwrap();
        assert_eq!((after["user"].as_str(), after["password"].as_str()), ("svc2_crm", "svc2_crm"));
        assert_eq!(parse(&after).unwrap().get_username(), "svc2_crm");
        // What is incomplete is not taken for the new state.
        fs::remove_file(root.join("..2/password")).unwrap();
        assert!(read(&root).is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn connections_made_before_the_change_are_told_from_those_after() {
        let changed = Changed::default();
        assert!(!changed.is_later_than(Duration::from_hours(1)));
        *changed.0.lock().unwrap() = Instant::now().checked_sub(Duration::from_mins(1));
        assert!(changed.is_later_than(Duration::from_secs(61)));
        assert!(changed.is_later_than(Duration::from_secs(58)));
        assert!(!changed.is_later_than(Duration::from_secs(50)));
    }
}
