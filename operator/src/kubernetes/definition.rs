//! Whether a custom resource definition is there to stay.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};

/// What is to be said of a deletion if the definition of that name is being deleted, or gone: for that nothing is torn down.
/// `objects` are those that it defines.
pub async fn going(client: &Client, name: &str, objects: &str) -> Result<Option<String>, kube::Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definitions.get_metadata_opt(name).await?;
    let is_going = definition.is_none_or(|definition| definition.metadata.deletion_timestamp.is_some());
    Ok(is_going.then(|| {
        format!(
            "the definition of {objects} is being deleted; nothing is torn down for that. docs/runbook.md says under DefinitionDeleting how to get it back"
        )
    }))
}
