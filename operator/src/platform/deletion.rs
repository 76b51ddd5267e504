//! What keeps a platform from being deleted: tenants that are on it, or on their way to it.

use easycode_crds::{SharedPlatform, conditions::reason};
use kube::ResourceExt;

use crate::{
    kubernetes::{definition, finalizer},
    runtime::{context::Context, error::Error},
    stack::{home::Home, status::Held},
    tenant::{placement::tenants_on, relocation},
};

/// Whether something keeps the platform from being deleted.
pub async fn held(platform: &SharedPlatform, context: &Context) -> Result<Option<Held>, Error> {
    if !finalizer::is_set(platform) {
        return Ok(None);
    }
    if let Some(message) = definition::going(&context.client, "sharedplatforms.easycode.io", "platforms").await? {
        return Ok(Some(Held { reason: reason::CRD_DELETING, message }));
    }
    let home = Home::Platform(platform.name_any());
    let tenants = tenants_on(&home, context);
    let message = if tenants.is_empty() {
        relocation::holds(&home, context)
    } else {
        Some(format!(
            "{} tenants are on it, such as {}; it is deleted once they are",
            tenants.len(),
            tenants.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
        ))
    };
    Ok(message.map(|message| Held { reason: reason::IN_USE, message }))
}
