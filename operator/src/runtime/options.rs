//! Options of the operator, from flags or the environment.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

use crate::stack::{
    blueprint::Operator,
    names::{Cidr, Names, Peers},
};

/// The EasyCode tenancy operator.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Options {
    /// Name of this replica, unique among them.
    #[arg(long, env = "POD_NAME", default_value = "easycode-operator")]
    pub pod_name: String,
    /// Namespace of the operator, and of its Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "easycode-system")]
    pub namespace: String,
    /// Namespace of the Secrets with the logins of external databases. It holds nothing else, since the operator reads all of them.
    #[arg(long, env = "EASYCODE_DATABASE_SECRETS_NAMESPACE", default_value = "easycode-databases")]
    pub database_secrets_namespace: String,
    /// Service account of the operator.
    #[arg(long, env = "EASYCODE_SERVICE_ACCOUNT", default_value = "easycode-operator")]
    pub service_account: String,
    /// `ClusterRole` that the operator binds itself to in each namespace it makes, for the Secrets there.
    #[arg(long, env = "EASYCODE_NAMESPACE_ROLE", default_value = "easycode-operator-namespace")]
    pub namespace_role: String,
    /// Namespace of CloudNativePG's operator, which is let in where an instance's Postgres is its.
    #[arg(long, env = "EASYCODE_CLOUDNATIVE_PG_NAMESPACE", default_value = "cnpg-system")]
    pub cloudnative_pg_namespace: String,
    /// Image with Postgres' client programs, for copies of tenants that move to an instance, and for archives where the Postgres is not
    /// embedded: of no older version than any server.
    #[arg(long, env = "EASYCODE_POSTGRES_CLIENT_IMAGE", default_value = "postgres:18")]
    pub postgres_client_image: String,
    /// Peers, as JSON as in a `NetworkPolicy`, by which stacks' pods have names resolved. Without these and addresses the cluster is looked
    /// at.
    #[arg(long, env = "EASYCODE_DNS_TO")]
    pub dns_to: Option<Peers>,
    /// Addresses and ranges at which stacks' pods have names resolved.
    #[arg(long, env = "EASYCODE_DNS_ADDRESSES", value_delimiter = ',')]
    pub dns_addresses: Vec<Cidr>,
    /// Ports at which those answer; 53 without any.
    #[arg(long, env = "EASYCODE_DNS_PORTS", value_delimiter = ',')]
    pub dns_ports: Vec<u16>,
    /// Address of probes and metrics.
    #[arg(long, env = "EASYCODE_LISTEN", default_value = "0.0.0.0:9090")]
    pub listen: SocketAddr,
    /// Address at which tenants' audit trails are told.
    #[arg(long, env = "EASYCODE_AUDIT_LISTEN", default_value = "0.0.0.0:9091")]
    pub audit_listen: SocketAddr,
    /// Tenants reconciled at once.
    #[arg(long, env = "EASYCODE_TENANT_CONCURRENCY", default_value_t = 64)]
    pub tenant_concurrency: u16,
    /// Platforms reconciled at once.
    #[arg(long, env = "EASYCODE_PLATFORM_CONCURRENCY", default_value_t = 4)]
    pub platform_concurrency: u16,
    /// Seconds between two looks at what no watch tells: each platform's Postgres.
    #[arg(long, env = "EASYCODE_SURVEY_SECONDS", default_value_t = 30)]
    pub survey_seconds: u64,
    /// Seconds between two reconciles of an object of which nothing was heard.
    #[arg(long, env = "EASYCODE_RESYNC_SECONDS", default_value_t = 600)]
    pub resync_seconds: u64,
    /// Seconds between two attempts to break the isolation of a platform or an instance.
    #[arg(long, env = "EASYCODE_PROBE_SECONDS", default_value_t = 21_600)]
    pub probe_seconds: u64,
}

impl Options {
    /// The operator, as the objects that it makes refer to it.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator {
            namespace: self.namespace.clone(),
            service_account: self.service_account.clone(),
            namespace_role: self.namespace_role.clone(),
            cloudnative_pg_namespace: self.cloudnative_pg_namespace.clone(),
            names: self.names().unwrap_or_default(),
        }
    }

    /// Where names are resolved, if that is configured.
    #[must_use]
    pub fn names(&self) -> Option<Names> {
        let to = self.dns_to.as_ref().map(|peers| peers.0.as_slice()).unwrap_or_default();
        Names::configured(to, &self.dns_addresses, &self.dns_ports)
    }

    /// Time between two probes of isolation.
    #[must_use]
    pub fn probe_interval(&self) -> Duration {
        Duration::from_secs(self.probe_seconds.max(60))
    }

    /// Time between two surveys of a Postgres.
    #[must_use]
    pub fn survey_interval(&self) -> Duration {
        Duration::from_secs(self.survey_seconds.max(1))
    }

    /// Time until an object of which nothing was heard is reconciled again, spread so that not all come at once.
    #[must_use]
    pub fn resync_interval(&self) -> Duration {
        Duration::from_secs(self.resync_seconds.max(1)).mul_f64(rand::random_range(0.9..1.1))
    }
}
