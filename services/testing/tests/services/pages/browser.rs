//! As much of a browser as the pages need: cookies, links and forms.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use easycode_contract::runtime::USER_SERVICE;
use easycode_testing::Platform;
use reqwest::{RequestBuilder, Url, header::HeaderMap, redirect::Policy};

/// One person's browser.
#[derive(Clone)]
pub struct Browser {
    platform: Platform,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    /// The page that was shown last.
    pub page: Shown,
}

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// HTTP status.
    pub status: u16,
    /// Where it leads.
    pub location: String,
    /// The page.
    pub html: String,
    /// All headers.
    pub headers: HeaderMap,
}

impl Browser {
    /// A new one, in which nobody is signed in.
    pub fn open(platform: &Platform) -> anyhow::Result<Self> {
        let http = easycode_kit::http::builder().redirect(Policy::none()).build()?;
        Ok(Self { platform: platform.clone(), http, cookies: BTreeMap::new(), page: Shown::default() })
    }

    /// Signs someone in by the form.
    pub async fn sign_in(&mut self, company: &str, email: &str, password: &str) -> anyhow::Result<()> {
        self.look("/user/sign-in").await?;
        let fields = [("company", company), ("email", email), ("password", password)];
        let sent = self.send("/user/sign-in", &fields).await?;
        ensure!(sent.status == 303 && sent.location == "/user/", "{sent:?}");
        Ok(())
    }

    /// Looks at a page, whatever it is.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Shown> {
        let request = self.http.get(self.url(path).await?);
        self.show(request).await
    }

    /// Looks at a page that must be there.
    pub async fn look(&mut self, path: &str) -> anyhow::Result<String> {
        let shown = self.get(path).await?;
        ensure!(shown.status == 200, "{path}: {shown:?}");
        Ok(shown.html)
    }

    /// Sends a form of the page that was shown last.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Shown> {
        let token = self.hidden("form-token")?;
        self.send_as_is(path, &[fields, &[("form-token", &token)]].concat(), &[]).await
    }

    /// Sends fields, and headers that a browser may add.
    pub async fn send_as_is(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Shown> {
        let encoded = Url::parse_with_params("http://form/", fields)?.query().unwrap_or_default().to_owned();
        let mut request = self.http.post(self.url(path).await?).body(encoded);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.show(request).await
    }

    /// A hidden field of the page that was shown last.
    pub fn hidden(&self, name: &str) -> anyhow::Result<String> {
        let (_, rest) = self
            .page
            .html
            .split_once(&format!("name=\"{name}\" value=\""))
            .with_context(|| format!("no field {name} in {}", self.page.html))?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }

    /// The session's cookie, to be tried elsewhere.
    pub fn cookie(&self, name: &str) -> Option<&String> {
        self.cookies.get(name)
    }

    /// Sets a cookie.
    pub fn keep(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    async fn url(&self, path: &str) -> anyhow::Result<String> {
        Ok(format!("{}{path}", self.platform.base_url(USER_SERVICE).await?))
    }

    async fn show(&mut self, request: RequestBuilder) -> anyhow::Result<Shown> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("cookie", cookies.join("; ")).timeout(Duration::from_secs(20));
        let response = request.send().await?;
        let headers = response.headers().clone();
        for cookie in headers.get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str()?.split_once(';').context("a cookie without attributes")?;
            let (name, value) = pair.split_once('=').context("no cookie")?;
            ensure!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"), "{attributes}");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let shown = Shown { status: response.status().as_u16(), location, html: response.text().await?, headers };
        self.page = shown.clone();
        Ok(shown)
    }
}
