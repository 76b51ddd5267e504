//! A company's people sign in at a login server of the company's own, by OpenID Connect.

use anyhow::{Context, ensure};
use easycode_contract::runtime::{API_PORT, USER_SERVICE};
use easycode_e2e::{
    browser::{Browser, Page},
    cluster::Cluster,
    login_server::{CLIENT, CLIENT_SECRET, LoginServer, PASSWORD, sign_in},
    own_instance::OwnInstance,
    people::{ADMINISTRATOR, Person, first_administrator, with_administrator},
    reach::reach,
    tenant::fresh_name,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{answer, refused};

/// Where the company's people find EasyCode.
const HERE: &str = "http://localhost:8090";
/// Someone whom both know.
const GRACE: &str = "grace@fjord.example";
/// Someone whose address the login server has not verified.
const UNVERIFIED: &str = "ulf@fjord.example";
/// Someone whom EasyCode doesn't know.
const STRANGER: &str = "stranger@fjord.example";

/// A company with an instance, and its own login server.
struct Company {
    own: OwnInstance,
    server: LoginServer,
    ada: Person,
}

impl Company {
    async fn create() -> anyhow::Result<Self> {
        let cluster = Cluster::connect().await?;
        let people = [(GRACE, true), (UNVERIFIED, false), (STRANGER, true)];
        let server = LoginServer::start(&cluster, &format!("{HERE}/user/v1/oidc/callback"), &people).await?;
        let own = OwnInstance::named(&cluster, &fresh_name("login"));
        let mut identity = own.spec(json!({})).await?["identity"].clone();
        identity["privateIssuers"] = json!([server.issuer()]);
        own.apply(json!({ "identity": identity })).await?;
        own.tenant.apply(with_administrator(json!({}))).await?;
        own.ready().await;
        let ada = first_administrator(&own.tenant, ADMINISTRATOR).await?;
        for email in [GRACE, UNVERIFIED] {
            let new = json!({ "email": email, "name": email, "roles": [{ "service": "crm", "role": "crm-user" }] });
            ada.done(Method::POST, "/users", Some(new)).await?;
        }
        Ok(Self { own, server, ada })
    }

    /// A browser of someone of the company.
    async fn browser(&self) -> anyhow::Result<Browser> {
        let home = &self.own.platform;
        let here = reach(&home.cluster, &home.namespace(), USER_SERVICE, API_PORT).await?;
        Browser::new(&[(HERE, here), (&self.server.issuer(), self.server.address().await?)])
    }

    fn start(&self) -> String {
        format!("{HERE}/user/v1/oidc/start?tenant={}", self.own.tenant.name)
    }

    /// Has someone sign in there, and looks at where that leads.
    async fn comes(&self, browser: &mut Browser, who: &str) -> anyhow::Result<Page> {
        let login = browser.get(&self.start()).await?;
        sign_in(browser, &self.server.issuer(), &login, (who, PASSWORD), None).await
    }

    /// Sets the login server, as the company's administrator.
    async fn set(&self, change: Value) -> anyhow::Result<Value> {
        self.ada.done(Method::PUT, "/identity-provider", Some(change)).await
    }

    fn provider(&self) -> Value {
        json!({ "issuer": self.server.issuer(), "clientId": CLIENT, "clientSecret": CLIENT_SECRET, "enabled": true })
    }
}

#[tokio::test]
async fn people_sign_in_at_their_companys_own_login_server() -> anyhow::Result<()> {
    let company = Company::create().await?;
    let mut browser = company.browser().await?;
    let none = browser.get(&company.start()).await?;
    ensure!(none.status == 404, "there is no login server yet: {} {}", none.status, none.html);

    only_an_administrator_sets_it_and_only_to_what_may_be_asked(&company).await?;
    let set = company.set(company.provider()).await?;
    ensure!(!set.to_string().contains(CLIENT_SECRET), "{set}");

    let page = company.comes(&mut browser, GRACE).await?;
    ensure!(page.status == 200 && page.at == "/user/", "{} {}: {}", page.status, page.at, page.html);
    ensure!(page.text().contains(GRACE) && page.text().contains("crm-user"), "{}", page.text());
    let trail = company.ada.trail().await?;
    ensure!(trail.iter().any(|one| one["act"] == "user.linked" && one["detail"]["email"] == GRACE), "{trail:?}");
    ensure!(!json!(trail).to_string().contains(CLIENT_SECRET), "the secret is in the trail");

    for (who, why) in [(UNVERIFIED, "no account with an address that it has verified"), (STRANGER, "no account")] {
        let page = company.comes(&mut company.browser().await?, who).await?;
        ensure!(page.status == 401 && page.html.contains(why), "{who}: {} {}", page.status, page.html);
    }
    nobody_comes_in_by_what_another_has_begun(&company).await?;

    // Who is disabled here is out, whatever the login server says.
    let users = company.ada.done(Method::GET, "/users", None).await?;
    let grace = users["items"].as_array().into_iter().flatten().find(|one| one["email"] == GRACE).context("Grace")?;
    let id = grace["id"].as_str().context("no id")?.to_owned();
    let disabled = company.ada.change(&id, "Disabled", &[("crm", "crm-user")]).await?;
    ensure!(disabled.status == 200, "{disabled:?}");
    let page = company.comes(&mut browser, GRACE).await?;
    ensure!(page.status == 401, "{} {}", page.status, page.html);
    company.ada.change(&id, "Active", &[("crm", "crm-user")]).await?;

    // The secret is for the one that gave it, and is shown to no other.
    let mut another = company.provider();
    (another["issuer"], another["enabled"], another["clientSecret"]) =
        (json!("https://login.example.com"), json!(false), Value::Null);
    let answer = answer(&company.ada, Method::PUT, "/identity-provider", Some(another)).await?;
    refused(&answer, 422, "clientSecret")?;

    // Turned off, nobody begins; who has begun does not end.
    let mut late = company.browser().await?;
    let login = late.get(&company.start()).await?;
    let mut off = company.provider();
    (off["enabled"], off["clientSecret"]) = (json!(false), Value::Null);
    company.set(off).await?;
    let page = sign_in(&mut late, &company.server.issuer(), &login, (GRACE, PASSWORD), None).await?;
    ensure!(page.status == 404, "{} {}", page.status, page.html);
    ensure!(late.get(&company.start()).await?.status == 404);
    company.server.remove().await?;
    company.own.remove().await
}

async fn only_an_administrator_sets_it_and_only_to_what_may_be_asked(company: &Company) -> anyhow::Result<()> {
    let clerk = company.ada.add("rita", &[("crm", "crm-user")]).await?;
    refused(&answer(&clerk, Method::PUT, "/identity-provider", Some(company.provider())).await?, 403, "")?;
    let host = company.server.issuer();
    let other_port = host.replace(&format!(":{API_PORT}"), ":9090");
    for issuer in [
        "http://login.example.com",
        "https://10.96.0.1",
        "https://user:password@login.example.com",
        "http://169.254.169.254/latest",
        "http://kubernetes.default.svc",
        &other_port,
    ] {
        let mut change = company.provider();
        change["issuer"] = issuer.into();
        let answer = answer(&company.ada, Method::PUT, "/identity-provider", Some(change)).await?;
        refused(&answer, 422, "issuer").with_context(|| issuer.to_owned())?;
    }
    // What is no login server tells nothing of itself.
    let mut change = company.provider();
    change["issuer"] = format!("{host}/nowhere").into();
    refused(&answer(&company.ada, Method::PUT, "/identity-provider", Some(change)).await?, 422, "can't be read")?;
    Ok(())
}

/// A link with another's code and state opens nothing in a browser that has not begun, or has begun something else.
async fn nobody_comes_in_by_what_another_has_begun(company: &Company) -> anyhow::Result<()> {
    let mut grace = company.browser().await?;
    let login = grace.get(&company.start()).await?;
    let back = format!("{HERE}/user/v1/oidc/callback");
    let issuer = company.server.issuer();
    let returned = sign_in(&mut grace, &issuer, &login, (GRACE, PASSWORD), Some(&back)).await?;
    let link = format!("{HERE}{}", returned.at);
    let mut another = company.browser().await?;
    let page = another.get(&link).await?;
    ensure!(page.status == 401, "{} {}", page.status, page.html);
    another.get(&company.start()).await?;
    let page = another.get(&link).await?;
    ensure!(page.status == 401, "{} {}", page.status, page.html);
    ensure!(grace.tamper(HERE, |cookie| cookie.replace('.', "!")), "nothing is remembered");
    let page = grace.get(&link).await?;
    ensure!(page.status == 401, "{} {}", page.status, page.html);
    Ok(())
}
