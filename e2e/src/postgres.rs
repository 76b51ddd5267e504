//! The Postgres of a home that a test brings up: embedded where there are nodes, else a server of the test's own, which the home
//! uses as an external one.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use easycode_crds::{DedicatedInstance, SharedPlatform, instance, platform};
use easycode_operator::stack::home::Home;
use easycode_test_postgres::PostgresServer;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{process::Command, sync::Mutex};

use crate::{
    cluster::{Cluster, has_nodes},
    elsewhere::external,
    operator::DATABASE_SECRETS,
    own_platform::small_postgres,
    platform::EXAMPLE,
};

/// Annotation of a Secret whose server is on this machine: folder of its socket, and port. By it its superuser is reached.
const SOCKET: &str = "e2e.easycode.io/socket";

/// The servers of this process, by home.
static SERVERS: Mutex<BTreeMap<String, PostgresServer>> = Mutex::const_new(BTreeMap::new());

/// The part of a home's spec with its database, which is started if it has to be.
pub async fn database_of(cluster: &Cluster, home: &str) -> anyhow::Result<Value> {
    if has_nodes() {
        let example = Api::<SharedPlatform>::all(cluster.client.clone()).get(EXAMPLE).await?.spec;
        let image = example.database.embedded.context("the example's database is not embedded")?.image;
        return Ok(json!({ "embedded": small_postgres(&image) }));
    }
    let mut servers = SERVERS.lock().await;
    if !servers.contains_key(home) {
        let server = PostgresServer::start().await?;
        write_secret(cluster, &secret_of(home), &server, &fields(&server)).await?;
        servers.insert(home.to_owned(), server);
    }
    Ok(external(&secret_of(home))["database"].clone())
}

/// Ends the server of a home, if this process has started one.
pub async fn remove(cluster: &Cluster, home: &str) -> anyhow::Result<()> {
    if SERVERS.lock().await.remove(home).is_some() {
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), DATABASE_SECRETS);
        secrets.delete(&secret_of(home), &DeleteParams::default()).await?;
    }
    Ok(())
}

/// The fields of a Secret that leads to a server on this machine.
#[must_use]
pub fn fields(server: &PostgresServer) -> Value {
    let login = server.operator();
    json!({
        "host": login.host, "port": login.port.to_string(), "user": login.user, "password": login.password,
        "dbname": login.database, "sslmode": "disable",
    })
}

/// Writes the Secret of a server on this machine, with fields that lead there or elsewhere. Those that are left out are gone.
pub async fn write_secret(
    cluster: &Cluster,
    name: &str,
    server: &PostgresServer,
    fields: &Value,
) -> anyhow::Result<()> {
    let superuser = server.superuser("postgres");
    let socket = superuser.get_socket().context("a superuser without a socket")?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name, "annotations": { SOCKET: format!("{} {}", socket.display(), superuser.get_port()) },
        },
        "data": encoded(fields)?,
    });
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), DATABASE_SECRETS);
    secrets.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(secret)).await?;
    Ok(())
}

/// As `data`, of which an applied Secret loses what is left out; of `stringData` it would not.
fn encoded(fields: &Value) -> anyhow::Result<BTreeMap<&String, ByteString>> {
    let fields = fields.as_object().context("fields are an object")?;
    let bytes = |value: &Value| value.as_str().map(|text| ByteString(text.as_bytes().to_vec()));
    fields.iter().map(|(name, value)| Ok((name, bytes(value).context("a field is a text")?))).collect()
}

/// The Secret with the login of a home's external database, if it has one.
pub(crate) async fn external_login(cluster: &Cluster, home: &Home) -> anyhow::Result<Option<Secret>> {
    let client = || cluster.client.clone();
    let reference = match home {
        Home::Platform(name) => {
            let database = Api::<SharedPlatform>::all(client()).get(name).await?.spec.database;
            database.external.filter(|_| database.provider == platform::Provider::External)
        }
        Home::Instance(name) => {
            let database = Api::<DedicatedInstance>::all(client()).get(name).await?.spec.database;
            database.external.filter(|_| database.provider == instance::Provider::External)
        }
    };
    let Some(reference) = reference.map(|external| external.secret_ref) else { return Ok(None) };
    Ok(Some(Api::<Secret>::namespaced(client(), &reference.namespace).get(&reference.name).await?))
}

/// Runs SQL as the superuser of the server that a Secret leads to; `None` if it is not on this machine.
pub(crate) async fn sql(secret: &Secret, database: &str, statement: &str) -> anyhow::Result<Option<String>> {
    let Some(socket) = secret.annotations().get(SOCKET) else { return Ok(None) };
    let (folder, port) = socket.split_once(' ').context("a socket without a port")?;
    let mut psql = Command::new("psql");
    psql.args(["-h", folder, "-p", port, "-U", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]);
    let output = psql.args(["-c", statement]).output().await.context("psql")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(String::from_utf8(output.stdout)?.trim().to_owned()))
}

fn secret_of(home: &str) -> String {
    format!("postgres-{home}")
}
