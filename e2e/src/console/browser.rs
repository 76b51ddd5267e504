//! The console as one of the staff uses it, signed in by the demo's identity provider: pages, forms, cookies, no JavaScript.

use std::{collections::BTreeMap, fs, net::SocketAddr};

use anyhow::{Context, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use easycode_e2e::{
    cluster::{Cluster, checkout},
    platform::Answer,
    reach::reach_pod,
};
use http::{Method, StatusCode, header};
use reqwest::{Client, Response, Url, redirect::Policy};
use serde_json::{Value, json};

use super::html;

/// Where the console says that it is, and its identity provider.
pub const CONSOLE: &str = "http://localhost:8088";
const PROVIDER: &str = "http://localhost:9998";
/// Namespace of the console.
pub const NAMESPACE: &str = "easycode-system";
/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// Someone with a browser.
pub struct Browser {
    http: Client,
    console: SocketAddr,
    provider: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// A page.
pub struct Page {
    /// Its status.
    pub status: StatusCode,
    /// Path and query that it is at.
    pub at: String,
    /// Its HTML.
    pub html: String,
    /// Headers of the answer.
    pub headers: http::HeaderMap,
}

impl Page {
    /// The text that people read, with single spaces.
    pub fn text(&self) -> String {
        html::text(&self.html)
    }

    /// The values that the form with the action would send as it is.
    pub fn form(&self, action: &str) -> anyhow::Result<Vec<(String, String)>> {
        html::form(&self.html, action)
    }

    /// What is said to be wrong with the field.
    pub fn error_of(&self, field: &str) -> Option<String> {
        html::by_id(&self.html, &format!("{field}-error"))
    }
}

/// Sets a field of a form.
pub fn set(form: &mut Vec<(String, String)>, name: &str, value: &str) {
    form.retain(|(key, _)| key != name);
    form.push((name.to_owned(), value.to_owned()));
}

fn people(file: &str) -> anyhow::Result<String> {
    let path = checkout().join("target/demo/people").join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}; run `make deploy`", path.display()))?;
    Ok(text.trim().to_owned())
}

impl Browser {
    /// A browser that is not signed in.
    pub async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let selector = "app.kubernetes.io/name=easycode-client-admin";
        Ok(Self {
            http: easycode_kit::http::builder().redirect(Policy::none()).build()?,
            console: reach_pod(cluster, NAMESPACE, selector, 8080).await?,
            provider: reach_pod(cluster, NAMESPACE, selector, 9998).await?,
            cookies: BTreeMap::new(),
        })
    }

    /// One of the demo's staff, signed in.
    pub async fn signed_in(cluster: &Cluster, who: &str) -> anyhow::Result<Self> {
        let mut browser = Self::open(cluster).await?;
        let asked = browser.get("/client-admin/fleet").await?;
        ensure!(asked.at.starts_with("/client-admin/sign-in?"), "not asked to sign in: {}", asked.at);
        let query: Vec<_> = asked.form("/client-admin/sign-in/start")?;
        let query = reqwest::Url::parse_with_params(CONSOLE, &query)?;
        let login = browser.get(&format!("/client-admin/sign-in/start?{}", query.query().unwrap_or_default())).await?;
        let page = browser.log_in(&login, who).await?;
        ensure!(page.status == 200 && page.at == "/client-admin/fleet", "{} {}: {}", page.status, page.at, page.text());
        Ok(browser)
    }

    async fn log_in(&mut self, login: &Page, who: &str) -> anyhow::Result<Page> {
        let mut form = login.form("/login/username")?;
        set(&mut form, "username", &format!("{who}@easycode.example"));
        set(&mut form, "password", &people("password")?);
        self.follow(Method::POST, format!("{PROVIDER}/login/username"), Some(form), None).await
    }

    /// An ID token, as a program of one of the staff gets it.
    pub async fn id_token(cluster: &Cluster, who: &str) -> anyhow::Result<String> {
        let mut browser = Self::open(cluster).await?;
        let redirect = format!("{CONSOLE}/client-admin/signed-in");
        let query = [
            ("client_id", "console"),
            ("redirect_uri", &redirect),
            ("response_type", "code"),
            ("scope", "openid email profile"),
            ("state", "program"),
        ];
        let url = Url::parse_with_params(&format!("{PROVIDER}/auth"), &query)?;
        let login = browser.follow(Method::GET, url.to_string(), None, None).await?;
        let mut form = login.form("/login/username")?;
        set(&mut form, "username", &format!("{who}@easycode.example"));
        set(&mut form, "password", &people("password")?);
        // Up to where the browser would hand the code to the console.
        let returned =
            browser.follow(Method::POST, format!("{PROVIDER}/login/username"), Some(form), Some(&redirect)).await?;
        let code = Url::parse(&format!("{CONSOLE}{}", returned.at))?;
        let code = code.query_pairs().find(|(key, _)| key == "code").context("no code")?.1.into_owned();
        let client = BASE64_STANDARD.encode(format!("console:{}", people("client-secret")?));
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &redirect)];
        let body = Url::parse_with_params(CONSOLE, &form)?.query().unwrap_or_default().to_owned();
        let request = browser.http.post(format!("http://{}/oauth/token", browser.provider));
        let request =
            request.header(header::HOST, "localhost:9998").header(header::AUTHORIZATION, format!("Basic {client}"));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let tokens: Value = request.send().await?.json().await?;
        Ok(tokens["id_token"].as_str().with_context(|| format!("no ID token: {tokens}"))?.to_owned())
    }

    /// Looks at a page of the console.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        self.follow(Method::GET, format!("{CONSOLE}{path}"), None, None).await
    }

    /// Sends a form to the console.
    pub async fn post(&mut self, path: &str, form: Vec<(String, String)>) -> anyhow::Result<Page> {
        self.follow(Method::POST, format!("{CONSOLE}{path}"), Some(form), None).await
    }

    /// Changes the value of a cookie, and says whether there was one.
    pub fn tamper(&mut self, change: impl Fn(&str) -> String) -> bool {
        self.cookies.values_mut().for_each(|value| *value = change(value));
        !self.cookies.is_empty()
    }

    async fn follow(
        &mut self,
        mut method: Method,
        mut url: String,
        mut form: Option<Vec<(String, String)>>,
        until: Option<&str>,
    ) -> anyhow::Result<Page> {
        for _ in 0..REDIRECTS {
            let response = self.send(&method, &url, form.as_deref()).await?;
            let Some(location) = response.headers().get(header::LOCATION) else {
                let at = Url::parse(&url)?;
                let at = at.query().map_or_else(|| at.path().to_owned(), |query| format!("{}?{query}", at.path()));
                return Ok(Page {
                    status: response.status(),
                    at,
                    headers: response.headers().clone(),
                    html: response.text().await?,
                });
            };
            let next = Url::parse(&url)?.join(location.to_str()?)?.to_string();
            if until.is_some_and(|until| next.starts_with(until)) {
                let next = Url::parse(&next)?;
                let at = format!("{}?{}", next.path(), next.query().unwrap_or_default());
                return Ok(Page {
                    status: response.status(),
                    at,
                    headers: response.headers().clone(),
                    html: String::new(),
                });
            }
            (method, url, form) = (Method::GET, next, None);
        }
        bail!("more than {REDIRECTS} redirects, the last to {url}")
    }

    async fn send(
        &mut self,
        method: &Method,
        url: &str,
        form: Option<&[(String, String)]>,
    ) -> anyhow::Result<Response> {
        let url = Url::parse(url)?;
        let origin = url.origin().ascii_serialization();
        let address = match origin.as_str() {
            CONSOLE => self.console,
            PROVIDER => self.provider,
            other => bail!("led to {other}"),
        };
        let mut direct = url.clone();
        direct.set_ip_host(address.ip()).ok().context("an address")?;
        direct.set_port(Some(address.port())).ok().context("a port")?;
        let host = origin.trim_start_matches("http://").to_owned();
        let mut request = self.http.request(method.clone(), direct).header(header::HOST, host);
        if origin == CONSOLE && !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if let Some(form) = form {
            let body = Url::parse_with_params(CONSOLE, form)?.query().unwrap_or_default().to_owned();
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await?;
        if origin == CONSOLE {
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let cookie = cookie.to_str()?;
                let (name, rest) = cookie.split_once('=').context("a cookie")?;
                let value = rest.split(';').next().unwrap_or_default();
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    ensure!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{name} is not protected");
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Ok(response)
    }
}

/// A program of one of the staff.
pub struct Program {
    http: Client,
    base: String,
    token: String,
}

impl Program {
    /// That of one of the demo's staff.
    pub async fn of(cluster: &Cluster, who: &str) -> anyhow::Result<Self> {
        let browser = Browser::open(cluster).await?;
        let token = Browser::id_token(cluster, who).await?;
        Ok(Self { http: browser.http, base: format!("http://{}/client-admin/v1", browser.console), token })
    }

    /// Asks the API.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    /// Onboards or changes a tenant.
    pub async fn put(&self, name: &str, spec: &Value, seen: Option<i64>) -> anyhow::Result<Answer> {
        let body = json!({ "tenant": { "spec": spec, "seen": seen } });
        self.ask(Method::PUT, &format!("/tenants/{name}"), Some(body)).await
    }
}
