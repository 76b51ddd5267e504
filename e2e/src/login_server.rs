//! A company's own login server: the demo's OpenID provider in a namespace of a test's own, with people of the test's.

use anyhow::{Context, ensure};
use easycode_contract::runtime::API_PORT;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{Api, api::PostParams};
use serde_json::{Value, from_value, json};

use crate::{
    browser::{Browser, Page, set},
    cluster::Cluster,
    console,
    own_pod::OwnPod,
    reach::reach,
};

/// What it calls EasyCode.
pub const CLIENT: &str = "easycode";
/// What it has given EasyCode for that.
pub const CLIENT_SECRET: &str = "what-only-both-know";
/// The password of everyone there.
pub const PASSWORD: &str = "over there";

/// The server.
pub struct LoginServer {
    pod: OwnPod,
}

impl LoginServer {
    /// Starts one that sends people back to an address, and knows these: who they are, and whether their address was verified.
    pub async fn start(cluster: &Cluster, back: &str, people: &[(&str, bool)]) -> anyhow::Result<Self> {
        let pod = OwnPod::namespace(cluster, "login").await?;
        let person = |(email, verified): &(&str, bool)| {
            let user = json!({
                "ID": email, "Username": email, "Password": PASSWORD, "Email": email, "EmailVerified": verified,
            });
            ((*email).to_owned(), user)
        };
        let users = Value::Object(people.iter().map(person).collect()).to_string();
        let secret: Secret = from_value(json!({
            "metadata": { "name": "login" }, "stringData": { "users.json": users, "client-secret": CLIENT_SECRET },
        }))?;
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &pod.namespace);
        secrets.create(&PostParams::default(), &secret).await?;
        let server = Self { pod };
        let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
        let container = json!({
            "image": image(cluster).await?,
            "env": [
                variable("ISSUER", &server.issuer()), variable("LISTEN", &format!(":{API_PORT}")), variable("CLIENT_ID", CLIENT),
                variable("CLIENT_SECRET_FILE", "/etc/login/client-secret"), variable("USERS_FILE", "/etc/login/users.json"),
                variable("REDIRECT_URIS", back),
            ],
            "readinessProbe": { "tcpSocket": { "port": API_PORT }, "periodSeconds": 1 },
            "volumeMounts": [{ "name": "login", "mountPath": "/etc/login", "readOnly": true }],
        });
        let volumes = json!([{ "name": "login", "secret": { "secretName": "login", "defaultMode": 0o440 } }]);
        server.pod.run(65532, container, &volumes, API_PORT).await?;
        Ok(server)
    }

    /// Its issuer, which is also its origin.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://{}:{API_PORT}", self.pod.host())
    }

    /// Where this process reaches it.
    pub async fn address(&self) -> anyhow::Result<std::net::SocketAddr> {
        reach(&self.pod.cluster, &self.pod.namespace, "login", API_PORT).await
    }

    /// Deletes it.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.pod.remove().await
    }
}

/// The image of the demo's provider, which is in the console's pod.
async fn image(cluster: &Cluster) -> anyhow::Result<String> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), console::NAMESPACE);
    let console = deployments.get("easycode-client-admin").await?;
    let containers = console.spec.and_then(|spec| spec.template.spec).map(|spec| spec.containers).unwrap_or_default();
    let provider = containers.into_iter().find(|one| one.name == "identity-provider");
    provider.and_then(|one| one.image).context("the console has no identity provider; run `make deploy`")
}

/// Signs someone in on the page of such a server, and goes where that leads, or up to what begins with `until`.
pub async fn sign_in(
    browser: &mut Browser,
    issuer: &str,
    page: &Page,
    (name, password): (&str, &str),
    until: Option<&str>,
) -> anyhow::Result<Page> {
    ensure!(page.at.starts_with("/login/"), "this is not where one signs in: {} {}", page.at, page.text());
    let mut form = page.form("/login/username")?;
    set(&mut form, "username", name);
    set(&mut form, "password", password);
    let url = format!("{issuer}/login/username");
    match until {
        Some(until) => browser.post_until(&url, form, until).await,
        None => browser.post(&url, form).await,
    }
}
