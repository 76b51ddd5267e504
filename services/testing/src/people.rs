//! People of a tenant, as user-service knows them: invited, signed in, with tokens that it has signed.

use std::time::Duration;

use anyhow::{Context, ensure};
use easycode_contract::{delegation::DELEGATIONS_PATH, runtime::USER_SERVICE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{Answer, Endpoints, until};

/// A password that is good enough for everyone.
pub const PASSWORD: &str = "staple otter quartz lamp";

/// Someone who is signed in.
#[derive(Clone)]
pub struct Person {
    /// Their platform or instance.
    pub platform: Endpoints,
    /// The tenant that they work for.
    pub tenant: String,
    /// What they sign in with.
    pub email: String,
    /// Their token for the services.
    pub token: String,
    /// What gives the next ones.
    pub refresh_token: String,
}

/// Address of a test's first administrator.
pub const ADMINISTRATOR: &str = "ada@staff.example";

/// What a tenant's spec needs so that it has a first administrator.
#[must_use]
pub fn with_administrator(mut spec: Value) -> Value {
    spec["administrators"] = json!([{ "email": ADMINISTRATOR, "name": "Ada Lovelace" }]);
    spec
}

/// Has EasyCode's staff invite a first administrator of the tenant.
pub async fn invite_by_staff(platform: &Endpoints, tenant: &str, email: &str) -> anyhow::Result<Answer> {
    let token = platform.staff_token().await?;
    let wanted = json!({ "email": email, "by": "Sam of EasyCode" });
    internal(platform, tenant, &token, &wanted).await
}

/// Asks the API for EasyCode's staff with a token.
pub async fn internal(platform: &Endpoints, tenant: &str, token: &str, wanted: &Value) -> anyhow::Result<Answer> {
    let path = format!("/internal/v1/tenants/{tenant}/invitations");
    Answer::of(internal_request(platform, &path).await?.bearer_auth(token).json(wanted)).await
}

/// Asks, as a service or whoever else has a token, for a delegation of a person's token.
pub async fn delegation(platform: &Endpoints, token: Option<&str>, of: &str) -> anyhow::Result<Answer> {
    let mut request = internal_request(platform, DELEGATIONS_PATH).await?;
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Answer::of(request.json(&json!({ "subjectToken": of }))).await
}

/// A request to those APIs of user-service that are not for people.
async fn internal_request(platform: &Endpoints, path: &str) -> anyhow::Result<RequestBuilder> {
    let base = platform.base_url(USER_SERVICE).await?;
    Ok(easycode_kit::http::client().post(format!("{base}{path}")).timeout(Duration::from_secs(20)))
}

/// Signs a first administrator in, whom EasyCode's staff have invited. user-service may not know yet of a tenant that was just made.
pub async fn first_administrator(platform: &Endpoints, tenant: &str, email: &str) -> anyhow::Result<Person> {
    let invited = until(&format!("{email} is invited"), Duration::from_secs(20), || async {
        let answer = invite_by_staff(platform, tenant, email).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer)
    })
    .await;
    follow(platform, tenant, email, &invited.body).await
}

/// The token in a link.
pub fn token_in(link: &Value) -> anyhow::Result<String> {
    let path = link["path"].as_str().context("no path")?;
    let (page, token) = path.split_once("?token=").context("no token")?;
    ensure!(page == "/user/invitation", "{page}");
    Ok(token.to_owned())
}

/// Follows a link, with [`PASSWORD`].
pub async fn follow(platform: &Endpoints, tenant: &str, email: &str, link: &Value) -> anyhow::Result<Person> {
    let body = json!({ "token": token_in(link)?, "password": PASSWORD });
    let answer = ask(platform, Method::POST, "/invitations/accept", Some(body)).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Person::of(platform, tenant, email, &answer.body)
}

/// Tries to sign someone in.
pub async fn try_sign_in(platform: &Endpoints, tenant: &str, email: &str, password: &str) -> anyhow::Result<Answer> {
    let body = json!({ "tenant": tenant, "email": email, "password": password });
    ask(platform, Method::POST, "/sessions", Some(body)).await
}

/// Asks user-service without a token.
pub async fn ask(platform: &Endpoints, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
    let mut request = platform.request(USER_SERVICE, method, path).await?;
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

impl Person {
    /// Whom tokens are of.
    pub fn of(platform: &Endpoints, tenant: &str, email: &str, opened: &Value) -> anyhow::Result<Self> {
        let text = |field: &str| opened[field].as_str().map(str::to_owned).with_context(|| format!("no {field}"));
        Ok(Self {
            platform: platform.clone(),
            tenant: tenant.to_owned(),
            email: email.to_owned(),
            token: text("accessToken")?,
            refresh_token: text("refreshToken")?,
        })
    }

    /// Signs someone in, with [`PASSWORD`].
    pub async fn sign_in(platform: &Endpoints, tenant: &str, email: &str) -> anyhow::Result<Self> {
        let answer = try_sign_in(platform, tenant, email, PASSWORD).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Self::of(platform, tenant, email, &answer.body)
    }

    /// Asks a service, below its base.
    pub async fn ask(&self, service: &str, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        self.platform.ask(service, method, path, &self.token, body).await
    }

    /// Asks user-service. Tries again while a service that has just come up does not tell its roles yet, as the answer says to.
    async fn ask_again(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        let answer = until("user-service does not put it off", Duration::from_secs(30), || async {
            let answer = self.ask(USER_SERVICE, method.clone(), path, body.clone()).await;
            let told = answer.as_ref().ok().and_then(|answer| answer.body["detail"].as_str());
            ensure!(!told.is_some_and(|detail| detail.contains("does not tell its roles")), "{answer:?}");
            Ok(answer)
        });
        answer.await
    }

    /// Asks user-service, and expects it to do it.
    pub async fn done(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let answer = self.ask_again(method, path, body).await?;
        ensure!((200..300).contains(&answer.status), "{} may not do {path}: {answer:?}", self.email);
        Ok(answer.body)
    }

    /// Takes the next tokens.
    pub async fn refresh(&mut self) -> anyhow::Result<()> {
        let body = json!({ "refreshToken": self.refresh_token });
        let answer = ask(&self.platform, Method::POST, "/sessions/refresh", Some(body)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        *self = Self::of(&self.platform, &self.tenant, &self.email, &answer.body)?;
        Ok(())
    }

    /// What the token says.
    pub fn claims(&self) -> anyhow::Result<Value> {
        claims(&self.token)
    }

    /// The roles in the token.
    pub fn roles(&self) -> anyhow::Result<Vec<String>> {
        Ok(serde_json::from_value(self.claims()?["roles"].clone())?)
    }

    /// The person's account.
    pub fn id(&self) -> anyhow::Result<String> {
        Ok(self.claims()?["sub"].as_str().context("no sub")?.to_owned())
    }

    /// As an administrator: invites someone with roles such as `("crm", "crm-user")`.
    pub async fn invite(&self, name: &str, roles: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let new = json!({ "email": address(name), "name": name, "roles": assignments(roles) });
        self.ask_again(Method::POST, "/users", Some(new)).await
    }

    /// As an administrator: adds someone, who signs in.
    pub async fn add(&self, name: &str, roles: &[(&str, &str)]) -> anyhow::Result<Self> {
        let invited = self.invite(name, roles).await?;
        ensure!(invited.status == 201, "{invited:?}");
        follow(&self.platform, &self.tenant, &address(name), &invited.body["invitation"]).await
    }

    /// As an administrator: gives someone these roles, and a status.
    pub async fn change(&self, id: &str, status: &str, roles: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let change = json!({ "name": "Changed", "status": status, "roles": assignments(roles) });
        self.ask(USER_SERVICE, Method::PUT, &format!("/users/{id}"), Some(change)).await
    }

    /// As an administrator: all entries of the trail.
    pub async fn trail(&self) -> anyhow::Result<Vec<Value>> {
        let page = self.done(Method::GET, "/events?limit=100", None).await?;
        Ok(page["items"].as_array().context("no items")?.clone())
    }
}

/// What a token says.
pub fn claims(token: &str) -> anyhow::Result<Value> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).context("no JWT")?;
    Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload)?)?)
}

/// Address of someone who is added by name.
#[must_use]
pub fn address(name: &str) -> String {
    format!("{name}@staff.example")
}

fn assignments(roles: &[(&str, &str)]) -> Value {
    roles.iter().map(|(service, role)| json!({ "service": service, "role": role })).collect()
}
