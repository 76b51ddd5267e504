//! Whether a custom resource definition is there to stay.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};

/// Whether the definition of that name is being deleted, or gone.
pub async fn is_going(client: &Client, name: &str) -> Result<bool, kube::Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definitions.get_metadata_opt(name).await?;
    Ok(definition.is_none_or(|definition| definition.metadata.deletion_timestamp.is_some()))
}
