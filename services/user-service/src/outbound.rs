//! Requests to addresses that tenants name: to public ones alone, by TLS, without following redirects, within bounds of time and
//! length. So nobody has the service ask what only it can reach, but for what EasyCode's operations have named.

use std::{
    io::{Error, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use easycode_kit::http::{Unread, bounded};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::{Host, Origin, Url};

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer.
const LONGEST: usize = 256 * 1024;

/// Why a request was not made, or its answer not taken. For the log: it is not told to whom the address was named by.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The address may not be asked.
    #[error("{0} is no public https address")]
    Address(String),
    /// It does not answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The answer is too long, or broke off.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The answer is none.
    #[error(transparent)]
    Answer(#[from] http::Error),
}

/// A client for such requests.
pub struct Outbound {
    public: reqwest::Client,
    /// For the origins that operations have named, wherever these are.
    private: reqwest::Client,
    named: Vec<Origin>,
}

impl Outbound {
    /// Allows these issuers that are not public, separated by spaces.
    #[must_use]
    pub fn allowing(issuers: &str) -> Self {
        let client = || easycode_kit::http::builder().redirect(Policy::none()).timeout(PATIENCE).no_proxy();
        let public = client().https_only(true).dns_resolver(Arc::new(PublicAddresses));
        let [public, private] = [public, client()].map(|client| client.build().expect("the settings are complete"));
        let named = issuers.split_whitespace().filter_map(|issuer| issuer.parse::<Url>().ok());
        Self { public, private, named: named.map(|issuer| issuer.origin()).collect() }
    }

    /// Whether the address may be asked, as far as its text tells. What its name stands for is seen when it is asked.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        let public = matches!(url.host(), Some(Host::Domain(_))) && url.scheme() == "https";
        let bare = url.username().is_empty() && url.password().is_none();
        bare && (public || self.is_named(url))
    }

    fn is_named(&self, url: &Url) -> bool {
        self.named.contains(&url.origin())
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Refused> {
        let address = request.uri().to_string();
        let url = address.parse().ok().filter(|url| self.allows(url));
        let url: Url = url.ok_or(Refused::Address(address))?;
        let http = if self.is_named(&url) { &self.private } else { &self.public };
        let (parts, body) = request.into_parts();
        let response = http.request(parts.method, url).headers(parts.headers).body(body).send().await?;
        let mut answer = http::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        Ok(answer.body(bounded(response, LONGEST).await?)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Outbound {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Refused>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Finds addresses of names, but those that only the inside of a network knows.
struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Error::new(ErrorKind::PermissionDenied, "the name stands for no public address").into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet's.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            // The addresses given to networks, without those for documentation, and those that stand for others of version 4.
            let given = first & 0xe000 == 0x2000;
            let special = (first == 0x2001 && (second == 0x0db8 || second < 0x0200)) || first == 0x2002;
            given && !special
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = (a, b, c) == (192, 0, 0);
    let benchmarks = a == 198 && (b == 18 || b == 19);
    let reserved = a == 0 || a >= 240;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || shared
        || protocols
        || benchmarks
        || reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in ["8.8.8.8", "93.184.216.34", "2a00:1450:4001:80b::200e", "2606:4700::1111"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inside in [
            "127.0.0.1",
            "10.96.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.1",
            "198.18.0.1",
            "::",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
    }

    #[test]
    fn only_named_hosts_by_tls_are_asked() {
        let outbound = Outbound::allowing("");
        let allows = |url: &str| outbound.allows(&url.parse().unwrap());
        assert!(allows("https://login.example.com/.well-known/openid-configuration"));
        for bad in [
            "http://login.example.com",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://2130706433/",
            "https://a:b@c.example/",
        ] {
            assert!(!allows(bad), "{bad}");
        }
    }

    #[test]
    fn of_what_is_not_public_just_what_operations_named_is_asked() {
        let outbound = Outbound::allowing("http://login.acme.svc:8080/realm https://login.acme.internal nonsense");
        let allows = |url: &str| outbound.allows(&url.parse().unwrap());
        assert!(allows("http://login.acme.svc:8080/realm/.well-known/openid-configuration"));
        assert!(allows("https://login.acme.internal/token"));
        for bad in [
            "http://login.acme.svc/",
            "http://login.acme.svc:8081/",
            "http://other.acme.svc:8080/",
            "http://login.acme.internal/",
            "http://a:b@login.acme.svc:8080/",
        ] {
            assert!(!allows(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_for_an_address_inside_is_not_asked() {
        let outbound = Outbound::allowing("");
        let request = http::Request::get("https://localhost:1/").body(Vec::new()).unwrap();
        let refused = format!("{:?}", outbound.send(request).await.unwrap_err());
        assert!(refused.contains("no public address"), "{refused}");
    }
}
