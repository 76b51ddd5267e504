//! Backups of an instance.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{names, scalars::Duration};

/// Continuous backups of an instance's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Where the backups are put, for example `s3://easycode-backups/aurora`.
    #[schemars(length(min = 1, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/[^[:space:]]*)?$')").message("destinationPath: must be a bucket and optionally a path, such as s3://easycode-backups/aurora"))]
    pub destination_path: String,
    /// Address of the object store, where it isn't Amazon's.
    #[serde(rename = "endpointURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^(https://[^/[:space:]]+|http://[a-z0-9.-]+[.]svc([.]cluster[.]local)?(:[0-9]+)?)(/[^[:space:]]*)?$')").message("endpointURL: must be https, or http of a Service within the cluster, such as https://s3.example.com"))]
    pub endpoint_url: Option<String>,
    /// Name of the Secret with `ACCESS_KEY_ID` and `ACCESS_SECRET_KEY`, in the instance's namespace.
    #[schemars(schema_with = "names::object")]
    pub credentials_secret: String,
    /// How long backups are kept, in whole days.
    #[serde(default = "default_retention")]
    #[schemars(schema_with = "retention_schema")]
    pub retention: Duration,
}

fn default_retention() -> Duration {
    Duration::from_secs(30 * 86_400)
}

/// CloudNativePG counts in days.
fn retention_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 40,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[1-9][0-9]{0,3}d$')",
            "message": "retention: must be whole days, at most 9999, such as 30d",
        }],
    })
}
