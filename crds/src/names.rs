//! The schemas of names, each with a rule that says what a good one looks like.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A region.
pub(crate) fn region(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 40,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "message": "region: must begin with a letter and consist of lowercase letters, digits and dashes, such as eu-central",
        }],
    })
}

/// A service of a release.
pub(crate) fn service(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 30,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "message": "service: must begin with a letter and consist of lowercase letters, digits and dashes, such as crm",
        }],
    })
}

/// Modules of a service.
pub(crate) fn modules(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": { "type": "string", "minLength": 1, "maxLength": 30 },
        "x-kubernetes-validations": [
            {
                "rule": "self.all(m, m.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$'))",
                "message": "modules: a name must begin with a letter and consist of lowercase letters, digits and dashes, such as campaigns",
            },
            {
                "rule": "self.all(m, self.exists_one(n, n == m))",
                "message": "modules: a module is named twice; remove one of the entries",
            },
        ],
    })
}

/// The version of a release. It becomes a label, which admits no plus sign and no dash or dot at its end.
pub(crate) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 40,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]*[0-9A-Za-z])?$')",
            "message": "version: must be three numbers and optionally a dash and a suffix, such as 2026.11.0 or 2026.11.0-rc.1",
        }],
    })
}

/// A custom resource of EasyCode.
pub(crate) fn resource(_: &mut SchemaGenerator) -> Schema {
    object_of(40)
}

/// A tenant.
pub(crate) fn tenant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 40,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "message": "must be a tenant's name: it begins with a letter and consists of lowercase letters, digits and dashes, such as aurora",
        }],
    })
}

/// Any other object of the cluster.
pub(crate) fn object(_: &mut SchemaGenerator) -> Schema {
    object_of(253)
}

fn object_of(longest: u32) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
            "message": "must be an object's name: lowercase letters, digits, dashes and dots, such as eu1",
        }],
    })
}

/// A namespace.
pub(crate) fn namespace(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "message": "must be a namespace's name: lowercase letters, digits and dashes, such as ingress-nginx",
        }],
    })
}

/// A host of the Domain Name System.
pub(crate) fn host(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
            "message": "host: must be a DNS name in lowercase, such as erp.example.com",
        }],
    })
}

/// An image by a tag that never moves, or by digest.
pub(crate) fn image(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 300,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[^[:space:]:@]+(:[0-9]+/[^[:space:]:@]+)?(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$') && (self.contains('@sha256:') || (self.matches(':[A-Za-z0-9_][A-Za-z0-9_.-]*$') && !self.endsWith(':latest')))",
            "message": "image: must name a tag other than latest, or a digest, such as registry.example.com/easycode/crm:2026.11.0",
        }],
    })
}
