//! How to reach a Postgres: the fields of its Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Host, login and database, out of a Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login.
    pub user: String,
    /// Password; never printed.
    pub password: String,
    /// Database to connect to.
    pub dbname: String,
    /// `disable`, `prefer`, `require`, `verify-ca` or `verify-full`.
    pub sslmode: String,
    /// Certificate authority in PEM, where the server's certificate is checked.
    pub ca: Option<String>,
}

/// What is wrong with a Secret.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSecret {
    /// A key is missing or empty.
    #[error("key {0} is missing or empty")]
    Missing(&'static str),
    /// A key has no usable value.
    #[error("key {0} must be {1}")]
    Malformed(&'static str, &'static str),
}

/// A new password: 32 letters and digits.
#[must_use]
pub fn generate_password() -> String {
    use rand::{Rng, distr::Alphanumeric};
    rand::rng().sample_iter(&Alphanumeric).take(32).map(char::from).collect()
}

impl Credentials {
    /// Reads the keys `host`, `port`, `user`, `password`, `dbname`, and optionally `sslmode` and `ca.crt`.
    pub fn from_secret(data: &BTreeMap<String, ByteString>) -> Result<Self, InvalidSecret> {
        let text = |key: &'static str| {
            data.get(key)
                .and_then(|value| std::str::from_utf8(&value.0).ok())
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let required = |key| text(key).ok_or(InvalidSecret::Missing(key));
        let sslmode = text("sslmode").unwrap_or_else(|| "prefer".to_owned());
        sslmode.parse::<PgSslMode>().map_err(|_| {
            InvalidSecret::Malformed("sslmode", "one of disable, prefer, require, verify-ca, verify-full")
        })?;
        Ok(Self {
            host: required("host")?,
            port: text("port")
                .unwrap_or_else(|| "5432".to_owned())
                .parse()
                .map_err(|_| InvalidSecret::Malformed("port", "a number from 1 to 65535"))?,
            user: required("user")?,
            password: required("password")?,
            dbname: required("dbname")?,
            sslmode,
            ca: text("ca.crt"),
        })
    }

    /// The same server with another login and database.
    #[must_use]
    pub fn with_login(&self, user: &str, password: &str, dbname: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), dbname: dbname.to_owned(), ..self.clone() }
    }

    /// As fields of a Secret that a service or a job mounts.
    #[must_use]
    pub fn to_fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::from([
            ("host".to_owned(), self.host.clone()),
            ("port".to_owned(), self.port.to_string()),
            ("user".to_owned(), self.user.clone()),
            ("password".to_owned(), self.password.clone()),
            ("dbname".to_owned(), self.dbname.clone()),
            ("sslmode".to_owned(), self.sslmode.clone()),
        ]);
        if let Some(ca) = &self.ca {
            fields.insert("ca.crt".to_owned(), ca.clone());
        }
        fields
    }

    /// As connection options.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .password(&self.password)
            .database(&self.dbname)
            .application_name("easycode-operator")
            // One tenant's locked or slow tables must not hold up the others of its batch.
            .options([("lock_timeout", "3s"), ("statement_timeout", "60s")])
            .ssl_mode(self.sslmode.parse().unwrap_or(PgSslMode::Prefer));
        match &self.ca {
            Some(ca) => options.ssl_root_cert_from_pem(ca.clone().into_bytes()),
            None => options,
        }
    }
}
