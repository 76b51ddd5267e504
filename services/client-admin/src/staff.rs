//! EasyCode's staff: who someone is, and what they may do.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What someone may do; each may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads.
    Support,
    /// Onboards, changes, suspends, resumes, invites.
    Operations,
    /// Offboards, and takes fields over from other managers.
    Administrator,
}

impl Role {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Operations => "operations",
            Self::Administrator => "administrator",
        }
    }
}

/// One of the staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Staff {
    /// Address, by which changes are told of.
    pub email: String,
    /// What they may do.
    pub role: Role,
}

/// Which values of which claim make which role.
#[derive(Clone, Debug)]
pub struct RoleMap {
    /// Name of the claim of the ID token; a text, or a list of texts.
    pub claim: String,
    /// Values that make support.
    pub support: Vec<String>,
    /// Values that make operations.
    pub operations: Vec<String>,
    /// Values that make an administrator.
    pub administrator: Vec<String>,
}

impl RoleMap {
    /// The highest role that the claims give, if any.
    #[must_use]
    pub fn role(&self, claims: &Value) -> Option<Role> {
        let claim = &claims[&self.claim];
        let values: Vec<&str> = match claim {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            Value::String(value) => vec![value],
            _ => Vec::new(),
        };
        let has = |wanted: &[String]| wanted.iter().any(|value| values.contains(&value.as_str()));
        [
            (&self.administrator, Role::Administrator),
            (&self.operations, Role::Operations),
            (&self.support, Role::Support),
        ]
        .into_iter()
        .find_map(|(wanted, role)| has(wanted).then_some(role))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_highest_role_of_the_claim_counts_and_any_other_value_gives_none() {
        let map = RoleMap {
            claim: "groups".into(),
            support: vec!["helpdesk".into()],
            operations: vec!["ops".into()],
            administrator: vec!["leads".into()],
        };
        assert_eq!(map.role(&json!({ "groups": ["helpdesk", "leads", "other"] })), Some(Role::Administrator));
        assert_eq!(map.role(&json!({ "groups": "ops" })), Some(Role::Operations));
        for nobody in
            [json!({}), json!({ "groups": ["ops2"] }), json!({ "groups": { "ops": true } }), json!({ "group": "ops" })]
        {
            assert_eq!(map.role(&nobody), None, "{nobody}");
        }
        assert!(Role::Support < Role::Operations && Role::Operations < Role::Administrator);
    }
}
