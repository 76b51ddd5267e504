//! A token that is rightly signed by the user-service of another home. Nobody here may accept it. It names a tenant of this home,
//! whom the other home does not know: a client chooses what runs here, and what is given to it must open nothing elsewhere.

use std::collections::BTreeSet;

use easycode_contract::{
    probe::FOREIGN_TOKEN,
    runtime::{SIGNING_KEY, USER_SERVICE, base_url},
};
use easycode_crds::Duration;
use jsonwebtoken::EncodingKey;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use super::network::JOB;
use crate::{
    cli::token,
    kubernetes::object::{Kind, Planned},
    runtime::{context::Context, error::Error},
    stack::{home::Home, plan::signing_keys},
    tenant::placement::tenants_on,
};

/// For how many seconds it counts: as long as the Job may take, and a little more.
const LIFETIME: u64 = 180;

/// The Secret with such a token for the Job of a home with a tenant, if there is another home with a user-service.
pub async fn secret(home: &Home, context: &Context) -> Result<Option<Planned>, Error> {
    let Some(tenant) = tenants_on(home, context).into_iter().next() else { return Ok(None) };
    for other in context.homes().into_iter().filter(|other| other != home) {
        let Some(key) = key_of(&other, context).await? else { continue };
        let issuer = base_url(USER_SERVICE, &other.namespace());
        let lifetime = Duration::from_secs(LIFETIME);
        let Ok(token) = token::sign(&key, &issuer, &tenant, JOB, &BTreeSet::new(), lifetime) else { continue };
        let body = json!({ "metadata": { "labels": home.labels(JOB) }, "type": "Opaque", "stringData": { FOREIGN_TOKEN: token } });
        return Ok(Some(Planned::new(Kind::Secret, &home.namespace(), JOB, body)));
    }
    Ok(None)
}

async fn key_of(home: &Home, context: &Context) -> Result<Option<EncodingKey>, Error> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &home.namespace());
    let found = secrets.get_opt(signing_keys::SECRET).await?;
    let pem = found.and_then(|secret| secret.data?.remove(SIGNING_KEY));
    Ok(pem.and_then(|pem| EncodingKey::from_ec_pem(&pem.0).ok()))
}
