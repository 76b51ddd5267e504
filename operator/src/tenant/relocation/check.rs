//! Whether the other home can take a tenant, before anything is begun.

use std::collections::BTreeMap;

use easycode_contract::{database::Identifier, runtime::TENANT_SERVICE};
use easycode_crds::Tenant;
use kube::ResourceExt;

use crate::{
    postgres::{self, survey::TenantData},
    runtime::context::Context,
    stack::home::Home,
    tenant::observe,
};

/// The services whose data is to move, or why the move has to wait, as a sentence.
pub fn services(
    tenant: &Tenant,
    role: &Identifier,
    from: &Home,
    to: &Home,
    context: &Context,
) -> Result<Vec<String>, String> {
    if let Some(why) = unavailable(to, context) {
        return Err(format!("{to} does not serve yet: {why}"));
    }
    let connected = |home: &Home| match (context.databases.get(home), context.databases.trouble(home)) {
        (Some(database), None) => Ok(database),
        // Leaving it makes room.
        (Some(database), Some(postgres::Error::Full)) if home == from => Ok(database),
        (_, Some(trouble)) => Err(format!("{home} is not well: {trouble}")),
        (None, None) => Err(format!("the Postgres of {home} is not connected; see its conditions")),
    };
    let (source, target) = (connected(from)?, connected(to)?);
    let major = |version: &str| version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major(source.version()) > major(target.version()) {
        return Err(format!(
            "{from} runs Postgres {} and {to} {}; data can't go to an older one",
            source.version(),
            target.version()
        ));
    }
    let image = context.copy_image(to);
    if major_of_image(&image).is_some_and(|client| Some(client) < major(source.version())) {
        return Err(format!(
            "{from} runs Postgres {}, which the client programs in image {image} are too old for; give the operator a later one by postgresClientImage",
            source.version()
        ));
    }
    let there = target.tenant(role);
    let foreign = there.uid.as_ref().is_some_and(|owner| tenant.uid().as_ref() != Some(owner));
    if foreign || (there.uid.is_none() && !there.schemas.is_empty()) {
        let owner = there.display_name.as_deref().unwrap_or("another tenant of this name");
        return Err(format!("{to} keeps data of {owner} ({}); erase it there first", role.as_str()));
    }
    matching(&source.tenant(role), from, &target.published(), to)
}

/// The major version of Postgres that an image's tag begins with, if it does.
fn major_of_image(image: &str) -> Option<u32> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    let digits: String = name.split_once(':')?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The services whose schemas can be taken as they are; complains of those that can't.
pub fn matching(
    data: &TenantData,
    from: &Home,
    published: &BTreeMap<String, i32>,
    to: &Home,
) -> Result<Vec<String>, String> {
    let mut services = Vec::new();
    for (service, version) in &data.schemas {
        match published.get(service).filter(|published| **published > 0) {
            Some(published) if published == version => services.push(service.clone()),
            // It stays behind with the copy that is kept there, which is kept for no shorter time: schemas of what is not
            // entitled are not migrated everywhere.
            _ if data.withdrawn.contains_key(service) => {}
            Some(published) => {
                return Err(format!(
                    "the schema of {service} has version {version} on {from} and {published} on {to}; bring both to the same release"
                ));
            }
            None => return Err(format!("{service} has no database on {to} yet; its release may lack it")),
        }
    }
    if services.iter().any(|service| service == TENANT_SERVICE) {
        Ok(services)
    } else {
        Err(format!("the tenant has no data on {from} yet"))
    }
}

/// What keeps the services of a home from serving.
pub fn unavailable(home: &Home, context: &Context) -> Option<String> {
    let Some(object) = context.object_of(home) else { return Some("it does not exist".to_owned()) };
    if object.meta().deletion_timestamp.is_some() {
        return Some("it is being deleted".to_owned());
    }
    observe::unavailable(object.conditions())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(name: &str) -> Home {
        Home::Platform(name.to_owned())
    }

    fn data(schemas: &[(&str, i32)]) -> TenantData {
        TenantData {
            schemas: schemas.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect(),
            ..TenantData::default()
        }
    }

    fn published(services: &[(&str, i32)]) -> BTreeMap<String, i32> {
        services.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()
    }

    #[test]
    fn a_tag_tells_the_version_or_nothing() {
        for (image, major) in [
            ("postgres:18", Some(18)),
            ("registry.example.com:5000/postgres:16.4-bookworm@sha256:0a", Some(16)),
            ("registry.example.com:5000/postgres", None),
            ("postgres:latest", None),
        ] {
            assert_eq!(major_of_image(image), major, "{image}");
        }
    }

    #[test]
    fn only_equal_schemas_move() {
        let data = data(&[("crm", 2), ("tenant-service", 1)]);
        let services = |there: &[(&str, i32)]| matching(&data, &on("a"), &published(there), &on("b"));
        assert_eq!(
            services(&[("crm", 2), ("tenant-service", 1)]),
            Ok(vec!["crm".to_owned(), "tenant-service".to_owned()])
        );
        assert!(
            services(&[("crm", 3), ("tenant-service", 1)]).unwrap_err().contains("version 2 on SharedPlatform a and 3")
        );
        assert!(services(&[("tenant-service", 1)]).unwrap_err().contains("crm has no database"));
        assert!(services(&[("crm", 0), ("tenant-service", 1)]).unwrap_err().contains("crm has no database"));
    }

    #[test]
    fn withdrawn_data_that_the_other_home_has_no_place_for_stays() {
        let mut data = data(&[("pos", 1), ("tenant-service", 1)]);
        data.withdrawn.insert("pos".to_owned(), jiff::Timestamp::MAX);
        for there in [&[("tenant-service", 1)][..], &[("pos", 2), ("tenant-service", 1)]] {
            let services = matching(&data, &on("a"), &published(there), &on("b"));
            assert_eq!(services, Ok(vec!["tenant-service".to_owned()]));
        }
    }
}
