//! A tenant's report as a tree with traffic lights. Pure.

use easycode_crds::conditions::{self, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::report::{Context, Freshness, Report, Residence, Schema, Told};

const WELL: char = '✔';
const WAITING: char = '…';
const WRONG: char = '✘';

/// A line and those that hang on it.
struct Node {
    text: String,
    children: Vec<Node>,
}

impl Node {
    fn leaf(text: String) -> Self {
        Self { text, children: Vec::new() }
    }

    /// The lines of what hangs on it.
    fn lines(&self) -> Vec<String> {
        let last = self.children.len().saturating_sub(1);
        let lines = |(at, child): (usize, &Self)| {
            let (branch, below) = if at == last { ("└─", "   ") } else { ("├─", "│  ") };
            let rest = child.lines().into_iter().map(move |line| format!("{below}{line}"));
            std::iter::once(format!("{branch} {}", child.text)).chain(rest)
        };
        self.children.iter().enumerate().flat_map(lines).collect()
    }
}

/// Draws the tree.
#[must_use]
pub fn tree(report: &Report) -> String {
    let mut root = Node::leaf(format!(
        "Tenant {} ({}), {:?}, generation {}",
        report.tenant, report.display_name, report.state, report.generation
    ));
    if report.observed_generation != Some(report.generation) {
        let seen = report.observed_generation.map_or("none".to_owned(), |seen| seen.to_string());
        root.children.push(Node::leaf(format!(
            "{WAITING} the operator has not looked at this generation yet; the last it saw is {seen}"
        )));
    }
    root.children.extend(condition_leaves(&report.conditions));
    root.children.extend(report.home.as_ref().map(home));
    root.children.extend(report.config_map.as_ref().map(|context| config_map(context, report)));
    if let Some(role) = &report.database_role {
        let children = report.services.iter().map(schema).collect();
        root.children.push(Node { text: format!("role {role} in Postgres"), children });
    }
    root.children.extend(report.endpoint.as_ref().map(|endpoint| Node::leaf(format!("endpoint {endpoint}"))));
    if !report.events.is_empty() {
        root.children
            .push(Node { text: "last events".to_owned(), children: report.events.iter().map(event).collect() });
    }
    std::iter::once(root.text.clone()).chain(root.lines()).map(|line| line + "\n").collect()
}

/// One leaf a condition; `Ready` comes first, since the others explain it.
fn condition_leaves(list: &[Condition]) -> Vec<Node> {
    let (ready, others): (Vec<_>, Vec<_>) = list.iter().partition(|one| one.type_ == conditions::READY);
    ready.into_iter().chain(others).map(condition).collect()
}

fn condition(condition: &Condition) -> Node {
    Node::leaf(format!(
        "{} {} {}: {}, {}",
        mark(condition),
        condition.type_,
        condition.status,
        condition.reason,
        condition.message
    ))
}

/// `Progressing`, `Degraded` and `UpdatePending` are well when false, all others when true.
fn mark(condition: &Condition) -> char {
    const WAITS: [&str; 8] = [
        reason::PROVISIONING,
        reason::MIGRATING,
        reason::ROLLING_OUT,
        reason::DELETING,
        reason::PLATFORM_NOT_READY,
        reason::INSTANCE_NOT_READY,
        reason::MOVING,
        reason::SUSPENDED,
    ];
    match (condition.type_.as_str(), condition.status.as_str()) {
        (conditions::PROGRESSING | conditions::UPDATE_PENDING, "True") => WAITING,
        (conditions::DEGRADED, "True") => WRONG,
        (conditions::PROGRESSING | conditions::UPDATE_PENDING | conditions::DEGRADED, "False") | (_, "True") => WELL,
        (_, "False") if !WAITS.contains(&condition.reason.as_str()) => WRONG,
        _ => WAITING,
    }
}

fn home(home: &Residence) -> Node {
    if !home.exists {
        return Node::leaf(format!("{WRONG} {} {} does not exist", home.kind, home.name));
    }
    let ready = home.conditions.iter().find(|one| one.type_ == conditions::READY);
    let release = match (&home.release, &home.wanted_release) {
        (Some(running), Some(wanted)) if running != wanted => format!(", release {running} on the way to {wanted}"),
        (Some(running), _) => format!(", release {running}"),
        (None, Some(wanted)) => format!(", on the way to release {wanted}"),
        (None, None) => String::new(),
    };
    let region = home.region.as_deref().unwrap_or_default();
    Node {
        text: format!("{} {} {} in {region}{release}", ready.map_or(WAITING, mark), home.kind, home.name),
        children: condition_leaves(&home.conditions),
    }
}

fn config_map(context: &Context, report: &Report) -> Node {
    let is_published = |one: &Condition| one.type_ == conditions::CONFIG_PUBLISHED && one.status == "True";
    let place = format!("ConfigMap {}/{}", context.namespace, context.name);
    let has = context.generation.unwrap_or_default();
    Node::leaf(match context.freshness {
        Freshness::Current => format!("{WELL} {place}, generation {has}"),
        Freshness::Behind => format!("{WAITING} {place}, generation {has}, the spec is at {}", report.generation),
        // Before it was published once, the conditions say what it waits for.
        Freshness::Missing if !report.conditions.iter().any(is_published) => {
            format!("{WAITING} {place} is not published yet")
        }
        Freshness::Missing => format!("{WRONG} {place} does not exist"),
        Freshness::Unreadable => format!("{WRONG} {place} holds no context"),
    })
}

fn schema(schema: &Schema) -> Node {
    let data = &schema.data;
    let version = match schema.published_version {
        Some(published) if published > data.schema_version => format!("{} of {published}", data.schema_version),
        _ => data.schema_version.to_string(),
    };
    let (mark, note) = match (&data.retained_until, data.entitled) {
        (Some(until), _) => (WAITING, format!(", withdrawn, kept until {until}")),
        (None, false) => (WAITING, ", not entitled".to_owned()),
        (None, true) if version != data.schema_version.to_string() => (WAITING, ", to be migrated".to_owned()),
        (None, true) => (WELL, String::new()),
    };
    Node::leaf(format!("{mark} {}: schema version {version}{note}", data.service))
}

fn event(event: &Told) -> Node {
    let time = event.time.map(|time| format!("{time:.0} ")).unwrap_or_default();
    Node::leaf(format!("{time}{} {}: {}", event.type_, event.reason, event.note))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::status::observe::Observed;

    fn given(list: &[(&str, &str, &str, &str)]) -> serde_json::Value {
        let one = |&(type_, status, reason, message): &(&str, &str, &str, &str)| {
            json!({ "type": type_, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": "2026-11-24T15:00:00Z" })
        };
        list.iter().map(one).collect()
    }

    fn observed(tenant: &serde_json::Value, platform: Option<&serde_json::Value>) -> Observed {
        let event = json!({ "type": "Warning", "reason": "NoCapacity", "note": "every fitting SharedPlatform is full",
            "eventTime": "2026-11-24T15:04:05.123456Z" });
        Observed {
            tenant: serde_json::from_value(tenant.clone()).unwrap(),
            platform: platform.map(|platform| serde_json::from_value(platform.clone()).unwrap()),
            instance: None,
            wanted: None,
            config_map: None,
            events: vec![serde_json::from_value(event).unwrap()],
        }
    }

    #[test]
    fn a_tree_shows_everything_down_to_the_schemas() {
        let tenant = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant", "metadata": { "name": "acme", "generation": 2 },
            "spec": { "displayName": "Acme Ltd" },
            "status": {
                "observedGeneration": 2, "platform": "eu1", "databaseRole": "t_acme", "endpoint": "https://erp.example.com",
                "conditions": given(&[
                    ("Placed", "True", "AsPlanned", "on SharedPlatform eu1"),
                    ("ConfigPublished", "True", "AsPlanned", "the services have the context"),
                    ("Ready", "False", "DatabaseUnavailable", "Postgres does not answer: timeout"),
                    ("Progressing", "True", "DatabaseUnavailable", "waiting or retrying"),
                ]),
                "services": [
                    { "service": "crm", "schemaVersion": 1, "entitled": true },
                    { "service": "pos", "schemaVersion": 3, "retainedUntil": "2026-12-24T15:00:00Z" },
                    { "service": "tenant-service", "schemaVersion": 1, "entitled": true },
                ],
            },
        });
        let platform = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "SharedPlatform", "metadata": { "name": "eu1" },
            "spec": { "region": "eu-central", "domain": "erp.example.com", "release": "r2",
                "identity": { "issuer": "i", "jwks": "{}" } },
            "status": {
                "release": "r1",
                "conditions": given(&[("Ready", "False", "Migrating", "migrating crm")]),
                "services": [{ "service": "crm", "schemaVersion": 2 }, { "service": "tenant-service", "schemaVersion": 1 }],
            },
        });
        let expected = "\
Tenant acme (Acme Ltd), Active, generation 2
├─ ✘ Ready False: DatabaseUnavailable, Postgres does not answer: timeout
├─ ✔ Placed True: AsPlanned, on SharedPlatform eu1
├─ ✔ ConfigPublished True: AsPlanned, the services have the context
├─ … Progressing True: DatabaseUnavailable, waiting or retrying
├─ … SharedPlatform eu1 in eu-central, release r1 on the way to r2
│  └─ … Ready False: Migrating, migrating crm
├─ ✘ ConfigMap easycode-platform-eu1/tenant-acme does not exist
├─ role t_acme in Postgres
│  ├─ … crm: schema version 1 of 2, to be migrated
│  ├─ … pos: schema version 3, withdrawn, kept until 2026-12-24T15:00:00Z
│  └─ ✔ tenant-service: schema version 1
├─ endpoint https://erp.example.com
└─ last events
   └─ 2026-11-24T15:04:05Z Warning NoCapacity: every fitting SharedPlatform is full
";
        let mut report = Report::new(&observed(&tenant, Some(&platform)));
        assert_eq!(tree(&report), expected);

        report.conditions.retain(|one| one.type_ != conditions::CONFIG_PUBLISHED);
        assert!(tree(&report).contains("├─ … ConfigMap easycode-platform-eu1/tenant-acme is not published yet\n"));
    }

    #[test]
    fn a_tenant_that_nobody_looked_at_says_so() {
        let tenant = json!({
            "apiVersion": "easycode.io/v1alpha1", "kind": "Tenant", "metadata": { "name": "acme", "generation": 1 },
            "spec": { "displayName": "Acme Ltd", "state": "Suspended" },
        });
        let mut report = Report::new(&observed(&tenant, None));
        report.events.clear();
        let expected = "\
Tenant acme (Acme Ltd), Suspended, generation 1
└─ … the operator has not looked at this generation yet; the last it saw is none
";
        assert_eq!(tree(&report), expected);
    }

    #[test]
    fn marks_know_which_conditions_are_well_when_false() {
        let marked = |type_: &str, status: &str, reason: &str| {
            let one = given(&[(type_, status, reason, "")]);
            mark(&serde_json::from_value(one[0].clone()).unwrap())
        };
        for (type_, status, reason, expected) in [
            ("Ready", "True", reason::AS_PLANNED, WELL),
            ("Ready", "False", reason::NO_CAPACITY, WRONG),
            ("Ready", "False", reason::SUSPENDED, WAITING),
            ("Ready", "False", reason::PROVISIONING, WAITING),
            ("DatabaseReady", "Unknown", reason::PLATFORM_NOT_READY, WAITING),
            ("Degraded", "True", reason::ROLLOUT_STUCK, WRONG),
            ("Degraded", "False", reason::AS_PLANNED, WELL),
            ("Progressing", "True", reason::ROLLING_OUT, WAITING),
            ("Progressing", "False", reason::AS_PLANNED, WELL),
            ("UpdatePending", "True", reason::OPERATOR_CHANGED, WAITING),
            ("UpdatePending", "False", reason::AS_PLANNED, WELL),
        ] {
            assert_eq!(marked(type_, status, reason), expected, "{type_} {status} {reason}");
        }
    }
}
