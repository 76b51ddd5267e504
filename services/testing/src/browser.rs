//! As much of a browser as tests need: cookies by origin, redirects, forms, no JavaScript. Origins that it knows are led to where they
//! are for this process, under their own names.

mod html;

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, bail, ensure};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Client, Response, Url, redirect::Policy};

/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// Someone with a browser.
pub struct Browser {
    http: Client,
    hosts: BTreeMap<String, SocketAddr>,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
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
    pub headers: HeaderMap,
}

impl Page {
    /// The text that people read, with single spaces.
    #[must_use]
    pub fn text(&self) -> String {
        html::text(&self.html)
    }

    /// The values that the form with the action would send as it is.
    pub fn form(&self, action: &str) -> anyhow::Result<Vec<(String, String)>> {
        html::form(&self.html, action)
    }

    /// What is said to be wrong with the field.
    #[must_use]
    pub fn error_of(&self, field: &str) -> Option<String> {
        html::by_id(&self.html, &format!("{field}-error"))
    }
}

/// Sets a field of a form.
pub fn set(form: &mut Vec<(String, String)>, name: &str, value: &str) {
    form.retain(|(key, _)| key != name);
    form.push((name.to_owned(), value.to_owned()));
}

impl Browser {
    /// A new one, for these origins.
    pub fn new(hosts: &[(&str, SocketAddr)]) -> anyhow::Result<Self> {
        let hosts = hosts.iter().map(|(origin, address)| ((*origin).to_owned(), *address)).collect();
        let http = easycode_kit::http::builder().redirect(Policy::none()).build()?;
        Ok(Self { http, hosts, cookies: BTreeMap::new() })
    }

    /// Looks at a page.
    pub async fn get(&mut self, url: &str) -> anyhow::Result<Page> {
        self.follow(Method::GET, url, None, None).await
    }

    /// Sends a form.
    pub async fn post(&mut self, url: &str, form: Vec<(String, String)>) -> anyhow::Result<Page> {
        self.follow(Method::POST, url, Some(form), None).await
    }

    /// As [`Browser::post`], up to a redirect that leads to what begins with `until`, which is not followed.
    pub async fn post_until(&mut self, url: &str, form: Vec<(String, String)>, until: &str) -> anyhow::Result<Page> {
        self.follow(Method::POST, url, Some(form), Some(until)).await
    }

    /// Changes the value of each of an origin's cookies, and says whether there was one.
    pub fn tamper(&mut self, origin: &str, change: impl Fn(&str) -> String) -> bool {
        let Some(cookies) = self.cookies.get_mut(origin) else { return false };
        for value in cookies.values_mut() {
            *value = change(value);
        }
        !cookies.is_empty()
    }

    async fn follow(
        &mut self,
        mut method: Method,
        url: &str,
        mut form: Option<Vec<(String, String)>>,
        until: Option<&str>,
    ) -> anyhow::Result<Page> {
        let mut url = Url::parse(url)?;
        for _ in 0..REDIRECTS {
            let response = self.send(&method, &url, form.as_deref()).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let Some(location) = headers.get(header::LOCATION) else {
                return Ok(Page { status, at: place(&url), headers, html: response.text().await? });
            };
            let next = url.join(location.to_str()?)?;
            if until.is_some_and(|until| next.as_str().starts_with(until)) {
                return Ok(Page { status, at: place(&next), headers, html: String::new() });
            }
            (method, url, form) = (Method::GET, next, None);
        }
        bail!("more than {REDIRECTS} redirects, the last to {url}")
    }

    async fn send(
        &mut self,
        method: &Method,
        url: &Url,
        form: Option<&[(String, String)]>,
    ) -> anyhow::Result<Response> {
        let origin = url.origin().ascii_serialization();
        let address = self.hosts.get(&origin).with_context(|| format!("led to {origin}"))?;
        let mut direct = url.clone();
        direct.set_ip_host(address.ip()).ok().context("an address")?;
        direct.set_port(Some(address.port())).ok().context("a port")?;
        let host = origin.trim_start_matches("http://").to_owned();
        let mut request = self.http.request(method.clone(), direct).header(header::HOST, host);
        let cookies = self.cookies.entry(origin).or_default();
        if !cookies.is_empty() {
            let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        if let Some(form) = form {
            let body = Url::parse_with_params("http://form/", form)?.query().unwrap_or_default().to_owned();
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await?;
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str()?;
            let (name, rest) = cookie.split_once('=').context("a cookie")?;
            let value = rest.split(';').next().unwrap_or_default();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                ensure!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{name} is not protected");
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

fn place(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}
