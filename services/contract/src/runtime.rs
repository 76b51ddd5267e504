//! The environment that the operator gives a service's container. Both sides take the names from here.

/// Name of the service the process serves as, for example `crm`. It selects database and entitlement.
pub const SERVICE: &str = "EASYCODE_SERVICE";
/// Namespace the pod runs in.
pub const NAMESPACE: &str = "EASYCODE_NAMESPACE";
/// Issuer that a user's token must carry in `iss`.
pub const ISSUER: &str = "EASYCODE_ISSUER";
/// Where the keys for users' tokens are: a file path, or an `http(s)` URL of a JWKS.
pub const JWKS: &str = "EASYCODE_JWKS";
/// Base URL of user-service, which is also the issuer of the tokens that it signs. Set where the release has it; its keys are
/// at [`JWKS_PATH`] below.
pub const USER_SERVICE_URL: &str = "EASYCODE_USER_SERVICE_URL";
/// Companies' identity providers that are not on the internet and may be asked all the same, with spaces between them. For user-service.
pub const PRIVATE_ISSUERS: &str = "EASYCODE_PRIVATE_ISSUERS";
/// Base URL of tenant-service.
pub const TENANT_SERVICE_URL: &str = "EASYCODE_TENANT_SERVICE_URL";
/// Folder with the database credentials; defaults to [`DATABASE_DIR`].
pub const DATABASE_DIR_VAR: &str = "EASYCODE_DATABASE_DIR";
/// File with the token by which a service shows tenant-service who it is; defaults to [`IDENTITY_TOKEN_FILE`].
pub const IDENTITY_TOKEN_VAR: &str = "EASYCODE_IDENTITY_TOKEN";
/// Upper bound of database connections of one replica.
pub const DATABASE_CONNECTIONS: &str = "EASYCODE_DATABASE_CONNECTIONS";

/// Most connections of a listener at once; 512 without it.
pub const HTTP_CONNECTIONS: &str = "EASYCODE_HTTP_CONNECTIONS";
/// Most connections of a listener at once from one address; half of [`HTTP_CONNECTIONS`] without it.
pub const HTTP_CONNECTIONS_PER_PEER: &str = "EASYCODE_HTTP_CONNECTIONS_PER_PEER";
/// Most bytes of a request's head, 8192 at least; 16384 without it.
pub const HTTP_HEAD_BYTES: &str = "EASYCODE_HTTP_HEAD_BYTES";
/// Seconds for a request's head; 10 without it.
pub const HTTP_HEAD_SECONDS: &str = "EASYCODE_HTTP_HEAD_SECONDS";
/// Seconds for a request's body; 30 without it.
pub const HTTP_BODY_SECONDS: &str = "EASYCODE_HTTP_BODY_SECONDS";
/// Seconds that a connection may rest between two requests; 75 without it.
pub const HTTP_IDLE_SECONDS: &str = "EASYCODE_HTTP_IDLE_SECONDS";
/// Seconds for which a client may leave an answer unread; 30 without it.
pub const HTTP_WRITE_SECONDS: &str = "EASYCODE_HTTP_WRITE_SECONDS";
/// Most bytes of bodies that a service holds at once for all its requests; 8388608 without it.
pub const HTTP_BODIES_BYTES: &str = "EASYCODE_HTTP_BODIES_BYTES";

/// Folder of one file per field: `host`, `port`, `dbname`, `user`, `password`, `sslmode`, optionally `ca.crt`.
pub const DATABASE_DIR: &str = "/etc/easycode/database";
/// Projected service account token with audience [`TENANT_SERVICE_AUDIENCE`]; rotated by the kubelet.
pub const IDENTITY_TOKEN_FILE: &str = "/var/run/secrets/easycode/token";
/// Mounted JWKS for users' tokens.
pub const JWKS_FILE: &str = "/etc/easycode/identity/jwks.json";

/// Folder of the keys that user-service signs with: [`SIGNING_KEYS`], PEM each. All three are published, [`SIGNING_KEY`] signs: one
/// that takes its turn is known to everyone by then, and one whose turn is over counts until its tokens are over.
pub const SIGNING_KEYS_DIR: &str = "/etc/easycode/signing-keys";
/// The key that signs.
pub const SIGNING_KEY: &str = "current.pem";
/// The files in [`SIGNING_KEYS_DIR`], in the order of their turns.
pub const SIGNING_KEYS: [&str; 3] = ["previous.pem", SIGNING_KEY, "next.pem"];
/// Path, below a service's own, of the JSON Schema of its settings.
pub const SETTINGS_SCHEMA_PATH: &str = "/settings-schema";
/// Path of user-service's public keys.
pub const JWKS_PATH: &str = "/user/v1/jwks.json";
/// Who may call user-service's API for EasyCode's staff: `namespace/service account`.
pub const STAFF_ACCOUNT: &str = "EASYCODE_STAFF_ACCOUNT";

/// Exit code of a program whose pod has no names resolved; that of `sysexits.h` for an unknown host.
pub const UNRESOLVED: u8 = 68;

/// Audience of users' tokens.
pub const USER_AUDIENCE: &str = "easycode";
/// Audience of services' tokens towards tenant-service, and towards user-service for [delegations](crate::delegation).
pub const TENANT_SERVICE_AUDIENCE: &str = "easycode-tenant-service";
/// Audience of client-admin-service's token towards user-service.
pub const USER_SERVICE_AUDIENCE: &str = "easycode-user-service";

/// Port of the API.
pub const API_PORT: u16 = 8080;
/// Port of `/livez`, `/readyz` and `/metrics`; never reachable through an ingress.
pub const ADMIN_PORT: u16 = 9090;

/// Name of the service that serves contexts and keeps tenants' settings. Every tenant is entitled to it.
pub const TENANT_SERVICE: &str = "tenant-service";
/// Name of the service that knows the tenants' users and signs their tokens. Every tenant is entitled to it.
pub const USER_SERVICE: &str = "user-service";
/// Services that no entitlement names, since every tenant has them where the release does.
pub const COMMON_SERVICES: [&str; 2] = [TENANT_SERVICE, USER_SERVICE];
/// First segment of the paths that a service serves.
#[must_use]
pub fn path_prefix(service: &str) -> &str {
    match service {
        TENANT_SERVICE => "tenant",
        USER_SERVICE => "user",
        other => other,
    }
}

/// Where a service is within the cluster.
#[must_use]
pub fn base_url(service: &str, namespace: &str) -> String {
    format!("http://{service}.{namespace}.svc:{API_PORT}")
}

/// Base URL, within the cluster, of a service's API.
#[must_use]
pub fn api_url(service: &str, namespace: &str) -> String {
    format!("{}/{}/v1", base_url(service, namespace), path_prefix(service))
}

/// The subcommand of every service image that publishes and runs its migrations.
pub const MIGRATE_COMMAND: &str = "migrate";

/// Label on a ConfigMap that holds a tenant's context; its value is the tenant's name.
pub const TENANT_LABEL: &str = "easycode.io/tenant";
/// Key of the context document in the ConfigMap's data.
pub const CONTEXT_KEY: &str = "context.json";
