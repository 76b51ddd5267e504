//! A platform whose services run in this process.

use std::{
    collections::BTreeMap,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use axum::Router;
use easycode_contract::{
    context::TenantContext,
    database::Identifier,
    runtime::{CONTEXT_KEY, TENANT_SERVICE, TENANT_SERVICE_AUDIENCE, USER_SERVICE, USER_SERVICE_AUDIENCE},
};
use easycode_crds::{Release, SharedPlatform, Tenant};
use easycode_kit::{App, Config, Service, config::BODIES_BYTES, contexts::Contexts, database, workload::Workloads};
use easycode_listener::Limits;
use easycode_operator::{
    audit,
    cli::plan::catalogue::Catalogue,
    postgres::{
        Database,
        audit::Account,
        credentials::Credentials,
        plan::{self as database_plan, Step},
        setup::ServiceLogins,
    },
    runtime::metrics::Metrics,
    tenant::{
        observe::{DatabaseView, Observed, Residence},
        plan::plan,
    },
};
use easycode_tenant_service::publisher::Publisher;
use easycode_test_postgres::PostgresServer;
use easycode_user_service::{internal::Access, realm::Shared};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    endpoints::{Endpoints, Reachable},
    freeze::{Frozen, Gate},
    keys::{Keys, WORKLOAD_ISSUER},
    signing_keys,
    tokens::ISSUER,
    wait::until,
};

/// The services of the examples' release.
const SERVICES: [&Service; 7] = [
    &easycode_tenant_service::SERVICE,
    &easycode_user_service::SERVICE,
    &easycode_crm::SERVICE,
    &easycode_finance::SERVICE,
    &easycode_inventory::SERVICE,
    &easycode_procurement::SERVICE,
    &easycode_pos::SERVICE,
];
/// Name of the platform.
const NAME: &str = "eu1";
/// Its namespace, which its services' tokens name.
const NAMESPACE: &str = "easycode-platform-eu1";
/// The account of client-admin-service: namespace and name.
pub const STAFF: [&str; 2] = ["easycode-system", "easycode-client-admin"];
/// Password of the services' logins, which open nothing but a test's own server on loopback.
const PASSWORD: &str = "only-for-tests";
/// Folder of the keys that user-service signs with, below the platform's own.
const SIGNING_KEYS: &str = "signing-keys";
/// Most connections of one service.
const CONNECTIONS: u32 = 10;
/// How long the services may take to learn of a changed tenant; a second is what is promised.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// A platform; cheap to clone. It ends with its last clone.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
    endpoints: Endpoints,
}

struct Inner {
    // Its services first, so that they lose no database.
    services: Running,
    database: Arc<Database>,
    publisher: Publisher,
    platform: SharedPlatform,
    release: Arc<Release>,
    tenants: Mutex<BTreeMap<String, Tenant>>,
    folder: TempDir,
    postgres: PostgresServer,
}

/// The services that run.
struct Running {
    apps: BTreeMap<String, App>,
    base_urls: BTreeMap<String, String>,
    gates: BTreeMap<String, Gate>,
    stopping: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Reachable for Running {
    fn base_url<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<String>> {
        let found = self.base_urls.get(service).cloned().with_context(|| format!("there is no service {service}"));
        std::future::ready(found).boxed()
    }

    fn staff_token(&self) -> BoxFuture<'_, anyhow::Result<String>> {
        std::future::ready(Keys::get().workload_token(STAFF[0], STAFF[1], USER_SERVICE_AUDIENCE)).boxed()
    }
}

impl Reachable for Inner {
    fn base_url<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<String>> {
        self.services.base_url(service)
    }

    fn staff_token(&self) -> BoxFuture<'_, anyhow::Result<String>> {
        self.services.staff_token()
    }
}

impl Deref for Platform {
    type Target = Endpoints;

    fn deref(&self) -> &Endpoints {
        &self.endpoints
    }
}

impl Platform {
    /// Starts one with a Postgres of its own, on which the operator's code has set up all services.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Limits::default()).await
    }

    /// As [`Self::start`], with listeners of these limits.
    pub async fn start_with(limits: Limits) -> anyhow::Result<Self> {
        let postgres = PostgresServer::start_prepared(&preparation()?, async |server| {
            connect(server).await?;
            publish_migrations(server).await
        })
        .await?;
        let database = connect(&postgres).await?;
        let (platform, release) = example()?;
        let folder = TempDir::new()?;
        let contexts = Contexts::local();
        let publisher = Publisher::new(contexts.clone());
        let services = start_services(&postgres, folder.path(), limits, &contexts, &publisher).await?;
        let inner = Arc::new(Inner {
            services,
            database,
            publisher,
            platform,
            release,
            tenants: Mutex::default(),
            folder,
            postgres,
        });
        let endpoints = Endpoints::new(Arc::clone(&inner) as Arc<dyn Reachable>);
        Ok(Self { inner, endpoints })
    }

    /// Its Postgres.
    #[must_use]
    pub fn postgres(&self) -> &PostgresServer {
        &self.inner.postgres
    }

    /// A service as it runs.
    #[must_use]
    pub fn app(&self, service: &str) -> &App {
        &self.inner.services.apps[service]
    }

    /// The release that it runs.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.inner.release
    }

    /// Rotates the keys that user-service signs with, as the operator and the kubelet would.
    pub fn rotate_signing_keys(&self) -> anyhow::Result<()> {
        signing_keys::rotate(&self.inner.folder.path().join(SIGNING_KEYS))
    }

    /// Lets a service answer nobody until the result is dropped.
    pub async fn freeze(&self, service: &str) -> Frozen {
        self.inner.services.gates[service].close().await
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    /// Folder with a service's database credentials, which a test may change as a rotation would.
    #[must_use]
    pub fn credentials_folder(&self, service: &str) -> PathBuf {
        self.inner.folder.path().join(service).join("database")
    }

    /// The token of a service account, as the kubelet mounts it for an audience.
    pub fn workload_token(&self, namespace: &str, account: &str, audience: &str) -> anyhow::Result<String> {
        Keys::get().workload_token(namespace, account, audience)
    }

    /// How a service logs in.
    pub fn login_of(&self, service: &str) -> anyhow::Result<PgConnectOptions> {
        Ok(logins(service)?.serving(&server(&self.inner.postgres))?.options())
    }

    /// How the Jobs that migrate a service's database log in.
    pub fn migration_login_of(&self, service: &str) -> anyhow::Result<PgConnectOptions> {
        Ok(logins(service)?.migrating(&server(&self.inner.postgres))?.options())
    }

    /// The operator's connection to the Postgres.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// A session as a service, as an intruder with its password would have it.
    pub async fn session_of(&self, service: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.login_of(service)?).await?)
    }

    /// Runs SQL as the superuser and returns the rows as lines.
    pub async fn sql(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        self.inner.postgres.sql(database, statement).await
    }

    /// A tenant as it was last applied.
    pub(crate) fn tenant(&self, name: &str) -> Option<Tenant> {
        self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Applies a tenant as the operator would, and waits until all services know of it.
    pub(crate) async fn apply(&self, tenant: Tenant) -> anyhow::Result<()> {
        let Inner { database, publisher, release, platform, .. } = &*self.inner;
        let role = Identifier::tenant(&tenant.name_any())?;
        let observed = Observed {
            residence: Ok(Residence::on_platform(platform)),
            release: Some(Arc::clone(release)),
            database: Some(DatabaseView { tenant: database.tenant(&role), published: database.published() }),
            trouble: None,
        };
        let planned = plan(&tenant, &observed, Timestamp::now());
        let wrong = planned.findings.iter().find(|finding| finding.status == Some(false) && planned.is_blocked());
        ensure!(wrong.is_none(), "the operator would refuse it: {wrong:?}");
        let document = planned.config_map.context("no context is published")?.body["data"][CONTEXT_KEY].take();
        let context: TenantContext = serde_json::from_str(document.as_str().context("no document")?)?;
        self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.name_any(), tenant.clone());
        // What takes access away is told to the services first, as the operator does.
        let (closing, opening) = planned.steps.into_iter().partition::<Vec<_>, _>(Step::closes_access);
        if !closing.is_empty() {
            publisher.configure(context.clone());
        }
        let steps = closing.into_iter().chain(opening).collect();
        database.bring(&role, steps, account(&tenant)).await?;
        publisher.configure(context.clone());
        self.published(&context).await;
        Ok(())
    }

    /// Erases a tenant's data, as the operator does with one that was deleted.
    pub(crate) async fn erase(&self, name: &str) -> anyhow::Result<()> {
        let tenant = self.tenant(name).context("there is no such tenant")?;
        let Inner { database, publisher, .. } = &*self.inner;
        let role = Identifier::tenant(name)?;
        publisher.remove(name);
        let left = database.bring(&role, database_plan::erase(&database.tenant(&role)), account(&tenant)).await?;
        database.bring(&role, database_plan::forget(&left), account(&tenant)).await?;
        self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let apps = &self.inner.services.apps;
        until("no service knows of it any more", PUBLISH_TIMEOUT, async || {
            for (service, app) in apps {
                ensure!(app.contexts.all().iter().all(|one| one.tenant != name), "{service} does");
            }
            Ok(())
        })
        .await;
        Ok(())
    }

    /// Waits until the services that a tenant's settings concern act on them.
    pub async fn settings_published(&self, tenant: &str, service: &str, value: &Value) {
        until("the settings are published", PUBLISH_TIMEOUT, async || {
            for (name, app) in &self.inner.services.apps {
                // What is set for a service is told to that service; the user interface's settings are told to all.
                if name == TENANT_SERVICE || name == service || service == "ui" {
                    let known = app.contexts.get(tenant).await.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
                    let known = known.context("no such tenant")?;
                    let present = known.settings.get(service);
                    ensure!(present == Some(value), "{name} has {present:?}");
                }
            }
            Ok(())
        })
        .await;
    }

    /// Waits until all services act on the context.
    async fn published(&self, context: &TenantContext) {
        until("all services have the context", PUBLISH_TIMEOUT, async || {
            for (service, app) in &self.inner.services.apps {
                let known =
                    app.contexts.get(&context.tenant).await.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
                let generation = known.map(|known| (known.generation, known.state, known.read_only));
                let wanted = (context.generation, context.state, context.read_only);
                ensure!(generation == Some(wanted), "{service} has {generation:?}");
            }
            Ok(())
        })
        .await;
    }
}

/// Names what a prepared server depends on: the code of this program.
fn preparation() -> anyhow::Result<String> {
    let program = fs::metadata(std::env::current_exe()?)?;
    let built = program.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_millis();
    Ok(format!("services-{built}-{}", program.len()))
}

fn account(tenant: &Tenant) -> Account {
    Account { subject: audit::subject(tenant), records: Vec::new(), adopted: None }
}

/// The examples.
pub(crate) fn examples() -> anyhow::Result<Catalogue> {
    let mut catalogue = Catalogue::default();
    catalogue.read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")))?;
    Ok(catalogue)
}

/// The examples' platform and release.
fn example() -> anyhow::Result<(SharedPlatform, Arc<Release>)> {
    let catalogue = examples()?;
    let platform = catalogue.platforms.iter().find(|one| one.name_any() == NAME).context("no platform")?;
    let release = catalogue.release(&platform.spec.release).context("no release")?;
    Ok((platform.as_ref().clone(), Arc::clone(release)))
}

fn server(postgres: &PostgresServer) -> Credentials {
    let login = postgres.operator();
    Credentials {
        host: login.host,
        port: login.port,
        user: login.user,
        password: login.password,
        dbname: login.database,
        sslmode: "disable".to_owned(),
        ca: None,
    }
}

fn logins(service: &str) -> anyhow::Result<ServiceLogins> {
    Ok(ServiceLogins {
        service: service.to_owned(),
        login: Identifier::service_login(service)?,
        service_password: PASSWORD.to_owned(),
        migration_password: PASSWORD.to_owned(),
    })
}

/// Connects as the operator, which sets up what is missing.
async fn connect(postgres: &PostgresServer) -> anyhow::Result<Arc<Database>> {
    let logins = SERVICES.iter().map(|service| logins(service.name)).collect::<Result<Vec<_>, _>>()?;
    let owner = format!("platform {NAME}");
    Ok(Database::connect(server(postgres), &logins, &owner, Arc::new(Metrics::default())).await?)
}

async fn publish_migrations(postgres: &PostgresServer) -> anyhow::Result<()> {
    for service in SERVICES {
        let options = logins(service.name)?.migrating(&server(postgres))?.options();
        let pool = database::pool(options, 1);
        easycode_kit::migrate::publish(&pool, service.migrations).await?;
        pool.close().await;
    }
    Ok(())
}

async fn start_services(
    postgres: &PostgresServer,
    folder: &Path,
    limits: Limits,
    contexts: &Contexts,
    publisher: &Publisher,
) -> anyhow::Result<Running> {
    let mut listeners = Vec::new();
    let mut base_urls = BTreeMap::new();
    for service in SERVICES {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        base_urls.insert(service.name.to_owned(), format!("http://{}", listener.local_addr()?));
        listeners.push((service, listener));
    }
    signing_keys::create(&folder.join(SIGNING_KEYS))?;
    let stopping = CancellationToken::new();
    let mut running = Running { apps: BTreeMap::new(), base_urls, gates: BTreeMap::new(), stopping };
    for (service, listener) in listeners {
        let config = configuration(service, postgres, &folder.join(service.name), &running.base_urls)?;
        let (app, internal) = prepare(service, config, &folder.join(SIGNING_KEYS), contexts, publisher)?;
        let gate = Gate::default();
        let router = gate.guard(easycode_kit::router(service, &app, internal));
        let end = running.stopping.clone().cancelled_owned();
        tokio::spawn(easycode_listener::serve(listener, router, limits, end));
        running.apps.insert(service.name.to_owned(), app);
        running.gates.insert(service.name.to_owned(), gate);
    }
    Ok(running)
}

/// What the operator would mount into the service's pod and set in its environment.
fn configuration(
    service: &Service,
    postgres: &PostgresServer,
    folder: &Path,
    base_urls: &BTreeMap<String, String>,
) -> anyhow::Result<Config> {
    let database = folder.join("database");
    fs::create_dir_all(&database)?;
    for (field, value) in logins(service.name)?.serving(&server(postgres))?.to_fields() {
        fs::write(database.join(field), value)?;
    }
    let identity_token = folder.join("token");
    fs::write(&identity_token, Keys::get().workload_token(NAMESPACE, service.name, TENANT_SERVICE_AUDIENCE)?)?;
    Ok(Config {
        service: service.name.to_owned(),
        prefix: service.prefix.unwrap_or(service.name).to_owned(),
        roles: service.roles,
        namespace: NAMESPACE.to_owned(),
        issuer: ISSUER.to_owned(),
        jwks: Keys::get().users_jwks().display().to_string(),
        user_service: base_urls.get(USER_SERVICE).cloned(),
        tenant_service: base_urls[TENANT_SERVICE].clone(),
        base_urls: base_urls.clone(),
        database,
        identity_token,
        connections: CONNECTIONS,
        listener: Limits::default(),
        bodies_bytes: BODIES_BYTES,
    })
}

/// Makes a service as its `main` does, and returns its routes for other services.
fn prepare(
    service: &Service,
    config: Config,
    signing_keys: &Path,
    contexts: &Contexts,
    publisher: &Publisher,
) -> anyhow::Result<(App, Router<App>)> {
    let workloads = |audience: &str| {
        Workloads::issued_by(WORKLOAD_ISSUER, &Keys::get().workloads_jwks().display().to_string(), audience)
    };
    match service.name {
        TENANT_SERVICE => {
            let app = App::with_contexts(config, contexts.clone())?;
            publisher.list(&[]);
            tokio::spawn(easycode_tenant_service::settings::follow(app.clone(), publisher.clone()));
            let internal =
                easycode_tenant_service::internal::router(publisher.clone(), workloads(TENANT_SERVICE_AUDIENCE));
            Ok((app, internal))
        }
        USER_SERVICE => {
            let app = App::connect(config)?.with(Shared::new(signing_keys, ""));
            let access = Access {
                staff: workloads(USER_SERVICE_AUDIENCE),
                staff_account: STAFF.join("/"),
                services: workloads(TENANT_SERVICE_AUDIENCE),
            };
            let internal = easycode_user_service::internal::router(access);
            Ok((app, internal.merge(easycode_user_service::pages::router())))
        }
        _ => Ok((App::connect(config)?, Router::new())),
    }
}
