//! The console's pages.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::header;
use reqwest::Url;
use serde_json::Value;

use super::{CONSOLE, NAMESPACE, PROVIDER, person};
use crate::{
    browser::{self, Page},
    cluster::Cluster,
    login_server::sign_in,
    reach::reach_pod,
};

/// Someone who has the console in a browser.
pub struct Browser {
    pages: browser::Browser,
    pub(super) console: SocketAddr,
    provider: SocketAddr,
}

impl Browser {
    /// One in which nobody is signed in.
    pub async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let selector = "app.kubernetes.io/name=easycode-client-admin";
        let console = reach_pod(cluster, NAMESPACE, selector, 8080).await?;
        let provider = reach_pod(cluster, NAMESPACE, selector, 9998).await?;
        let pages = browser::Browser::new(&[(CONSOLE, console), (PROVIDER, provider)])?;
        Ok(Self { pages, console, provider })
    }

    /// One of the demo's staff, signed in.
    pub async fn signed_in(cluster: &Cluster, who: &str) -> anyhow::Result<Self> {
        let mut browser = Self::open(cluster).await?;
        let asked = browser.get("/client-admin/fleet").await?;
        ensure!(asked.at.starts_with("/client-admin/sign-in?"), "not asked to sign in: {}", asked.at);
        let query: Vec<_> = asked.form("/client-admin/sign-in/start")?;
        let query = Url::parse_with_params(CONSOLE, &query)?;
        let login = browser.get(&format!("/client-admin/sign-in/start?{}", query.query().unwrap_or_default())).await?;
        let (name, password) = person(who)?;
        let page = sign_in(&mut browser.pages, PROVIDER, &login, (&name, &password), None).await?;
        ensure!(page.status == 200 && page.at == "/client-admin/fleet", "{} {}: {}", page.status, page.at, page.text());
        Ok(browser)
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
        let login = browser.pages.get(url.as_str()).await?;
        let (name, password) = person(who)?;
        // Up to where the browser would hand the code to the console.
        let returned = sign_in(&mut browser.pages, PROVIDER, &login, (&name, &password), Some(&redirect)).await?;
        let code = Url::parse(&format!("{CONSOLE}{}", returned.at))?;
        let code = code.query_pairs().find(|(key, _)| key == "code").context("no code")?.1.into_owned();
        let client = BASE64_STANDARD.encode(format!("console:{}", super::demo("client-secret")?));
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", &redirect)];
        let body = Url::parse_with_params(CONSOLE, &form)?.query().unwrap_or_default().to_owned();
        let request = easycode_kit::http::client().post(format!("http://{}/oauth/token", browser.provider));
        let request =
            request.header(header::HOST, "localhost:9998").header(header::AUTHORIZATION, format!("Basic {client}"));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let tokens: Value = request.send().await?.json().await?;
        Ok(tokens["id_token"].as_str().with_context(|| format!("no ID token: {tokens}"))?.to_owned())
    }

    /// Looks at a page of the console.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        self.pages.get(&format!("{CONSOLE}{path}")).await
    }

    /// Sends a form to the console.
    pub async fn post(&mut self, path: &str, form: Vec<(String, String)>) -> anyhow::Result<Page> {
        self.pages.post(&format!("{CONSOLE}{path}"), form).await
    }

    /// Changes the value of a cookie, and says whether there was one.
    pub fn tamper(&mut self, change: impl Fn(&str) -> String) -> bool {
        self.pages.tamper(CONSOLE, change)
    }
}
