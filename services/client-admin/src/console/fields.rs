//! The fields of a form and the specs that they stand for. Pure. Each input has the path of its field in the resource as its name, so that
//! what the API server says of a field is shown beside it. What is no good value is passed on as it is: the API server says why.

use serde_json::{Map, Value, json};

use crate::change::conflict::Fault;

/// Single values of a tenant.
pub const TENANT: [&str; 21] = [
    "spec.displayName",
    "spec.region",
    "spec.deployment.model",
    "spec.deployment.platform",
    "spec.deployment.instance",
    "spec.deployment.longestPause",
    "spec.limits.users",
    "spec.limits.connections",
    "spec.limits.statementTimeout",
    "spec.limits.storage",
    "spec.limits.requestsPerSecond",
    "spec.dataUse.analytics",
    "spec.dataUse.aiTraining",
    "spec.dataUse.agreement",
    "spec.backup.rpo",
    "spec.backup.rto",
    "spec.backup.retention",
    "spec.state",
    "spec.deletionPolicy",
    "spec.retention",
    ADMINISTRATORS,
];
/// Single values of an instance that the console changes; of an instance's other fields it changes nothing.
pub const INSTANCE: [&str; 12] = [
    "instance.spec.release.channel",
    "instance.spec.release.version",
    "instance.spec.location.region",
    "instance.spec.database.provider",
    "instance.spec.database.embedded.size",
    "instance.spec.ingress.host",
    "instance.spec.ingress.className",
    "instance.spec.ingress.controllerNamespace",
    "instance.spec.ingress.tls.clusterIssuer",
    "instance.spec.backup.destinationPath",
    "instance.spec.backup.credentialsSecret",
    WINDOWS,
];
/// One line a person: address, then the name after a comma.
pub const ADMINISTRATORS: &str = "spec.administrators";
/// One line a window: schedule, then the duration after a semicolon.
pub const WINDOWS: &str = "instance.spec.maintenance.windows";
/// Entitlements, as a whole.
pub const ENTITLEMENTS: &str = "spec.entitlements";

const NUMBERS: [&str; 3] = ["spec.limits.users", "spec.limits.connections", "spec.limits.requestsPerSecond"];

/// Names and values, as a form sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of the name; empty without one.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// All values of the name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Replaces all values of the name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(key, _)| key != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// The fields that stand for a tenant's spec.
    #[must_use]
    pub fn of_tenant(spec: &Value) -> Self {
        let mut fields = Self::default();
        fields.put("spec", spec, &TENANT);
        fields.set_value(ENTITLEMENTS, &spec["entitlements"]);
        fields
    }

    /// Adds those that stand for an instance's spec.
    pub fn add_instance(&mut self, spec: &Value) {
        self.put("instance.spec", spec, &INSTANCE);
    }

    fn put(&mut self, root: &str, spec: &Value, names: &[&str]) {
        for name in names {
            let path = name.strip_prefix(root).unwrap_or(name).trim_start_matches('.');
            let value = path.split('.').try_fold(spec, |value, key| value.get(key));
            self.set_value(name, value.unwrap_or(&Value::Null));
        }
    }

    /// Sets what stands for the value of the field.
    pub fn set_value(&mut self, name: &str, value: &Value) {
        let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let joined = |first: &str, between: &str, second: &str| {
            let lines = entries.iter().map(|entry| match text(entry, second).as_str() {
                "" => text(entry, first),
                second => format!("{}{between}{second}", text(entry, first)),
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        match name {
            ENTITLEMENTS => {
                self.0.retain(|(key, _)| key != "service" && key != "module");
                for entry in entries {
                    let service = text(entry, "service");
                    for module in entry["modules"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                        self.0.push(("module".to_owned(), format!("{service}/{module}")));
                    }
                    self.0.push(("service".to_owned(), service));
                }
            }
            ADMINISTRATORS => self.set(name, joined("email", ", ", "name")),
            WINDOWS => self.set(name, joined("schedule", "; ", "duration")),
            _ => match value {
                Value::Null => self.set(name, ""),
                Value::String(text) => self.set(name, text.clone()),
                other => self.set(name, other.to_string()),
            },
        }
    }

    /// The tenant's spec that the fields stand for.
    #[must_use]
    pub fn tenant_spec(&self) -> Value {
        let mut object = json!({ "spec": { "displayName": "" } });
        for name in TENANT.into_iter().filter(|name| *name != ADMINISTRATORS) {
            self.write(name, name, &mut object);
        }
        let mut spec = object["spec"].take();
        spec[ENTITLEMENTS.trim_start_matches("spec.")] = self.entitlements();
        spec["administrators"] = self.lines(ADMINISTRATORS, ',', "email", "name");
        spec
    }

    /// The instance's spec that the fields stand for, over what it is otherwise.
    #[must_use]
    pub fn instance_spec(&self, base: &Value) -> Value {
        let mut object = json!({ "spec": base });
        for name in INSTANCE.into_iter().filter(|name| *name != WINDOWS) {
            self.write(name, name.trim_start_matches("instance."), &mut object);
        }
        let mut spec = object["spec"].take();
        let windows = self.lines(WINDOWS, ';', "schedule", "duration");
        spec["maintenance"]["windows"] = windows;
        without_empty(&mut spec, &["ingress", "tls"]);
        without_empty(&mut spec, &["ingress"]);
        without_empty(&mut spec, &["backup"]);
        // What the operator's own Postgres is begun with is of no use to another.
        if spec["database"]["provider"].as_str().is_some_and(|provider| provider != "Embedded")
            && let Some(database) = spec["database"].as_object_mut()
        {
            database.remove("embedded");
        }
        without_empty(&mut spec, &["database", "embedded"]);
        spec
    }

    /// Writes the field to its place; an empty one has none.
    fn write(&self, name: &str, path: &str, object: &mut Value) {
        let text = self.get(name).trim();
        let value = match text.parse::<i64>() {
            Ok(number) if NUMBERS.contains(&name) => number.into(),
            _ => Value::from(text),
        };
        let keys: Vec<_> = path.split('.').collect();
        let Some((last, parents)) = keys.split_last() else { return };
        let mut place = object;
        if text.is_empty() && name != "spec.displayName" {
            let parent = parents.iter().try_fold(place, |place, key| place.get_mut(*key));
            if let Some(fields) = parent.and_then(Value::as_object_mut) {
                fields.remove(*last);
            }
            return;
        }
        for key in parents {
            let Some(fields) = place.as_object_mut() else { return };
            place = fields.entry(*key).or_insert_with(|| json!({}));
        }
        let Some(fields) = place.as_object_mut() else { return };
        fields.insert((*last).to_owned(), value);
    }

    fn entitlements(&self) -> Value {
        let mut services: Vec<&str> = self.all("service").collect();
        let with_module: Vec<_> = self.all("module").filter_map(|module| module.split_once('/')).collect();
        // Whoever ticks a module means its service, too.
        for (service, _) in &with_module {
            if !services.contains(service) {
                services.push(service);
            }
        }
        services.sort_unstable();
        services.dedup();
        let entries = services.into_iter().map(|service| {
            let modules: Vec<_> =
                with_module.iter().filter(|(of, _)| *of == service).map(|(_, module)| *module).collect();
            json!({ "service": service, "modules": modules })
        });
        entries.collect()
    }

    fn lines(&self, name: &str, between: char, first: &str, second: &str) -> Value {
        let lines = self.get(name).lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| match line.split_once(between) {
                Some((one, other)) if !other.trim().is_empty() => json!({ first: one.trim(), second: other.trim() }),
                _ => json!({ first: line.trim_end_matches(between).trim() }),
            })
            .collect()
    }
}

fn without_empty(spec: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(spec, |value, key| value.get_mut(*key));
    if let Some(fields) = parent.and_then(Value::as_object_mut)
        && fields.get(*last).and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        fields.remove(*last);
    }
}

/// The input that a fault is shown beside, if there is one: the field's own, or the one that a rule's words begin with.
#[must_use]
pub fn input_of(fault: &Fault) -> Option<&'static str> {
    let names = || TENANT.into_iter().chain(INSTANCE).chain([ENTITLEMENTS, "name", "instance.name", "confirm"]);
    let root = if fault.field.starts_with("instance.") { "instance.spec" } else { "spec" };
    if let Some((begin, _)) = fault.message.split_once(':') {
        let said = format!("{root}.{begin}");
        if let Some(found) = names().find(|name| *name == said) {
            return Some(found);
        }
    }
    if fault.field == "metadata.name" || fault.message.starts_with("metadata.name") {
        return Some("name");
    }
    let covers = |name: &&'static str| {
        fault.field.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let inner = |name: &&'static str| name.strip_prefix(fault.field.as_str()).is_some_and(|rest| rest.starts_with('.'));
    let above = fault.field != "spec" && fault.field != "instance.spec";
    names().filter(covers).max_by_key(|name| name.len()).or_else(|| names().find(inner).filter(|_| above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Value {
        let spec: easycode_crds::TenantSpec = serde_json::from_value(json!({
            "displayName": "Aurora", "region": "eu",
            "entitlements": [{ "service": "crm", "modules": ["campaigns"] }, { "service": "pos" }],
            "administrators": [{ "email": "ada@aurora.example", "name": "Ada, Countess" }, { "email": "b@c.d" }],
            "dataUse": { "analytics": "Pooled", "agreement": "DPA-1" },
        }))
        .unwrap();
        json!(spec)
    }

    #[test]
    fn a_tenants_spec_survives_the_form() {
        assert_eq!(Fields::of_tenant(&tenant()).tenant_spec(), tenant());
    }

    #[test]
    fn every_field_of_a_tenant_is_in_the_form() {
        let properties = |schema: &Value| schema["properties"].as_object().unwrap().clone();
        let schema = json!(schemars::schema_for!(easycode_crds::TenantSpec));
        for name in properties(&schema).keys() {
            let path = format!("spec.{name}");
            let is_there = TENANT.iter().any(|one| *one == path || one.starts_with(&format!("{path}.")));
            assert!(is_there || path == ENTITLEMENTS, "{path}");
        }
    }

    #[test]
    fn what_is_no_number_is_left_for_the_api_server_to_refuse() {
        let mut fields = Fields::of_tenant(&tenant());
        fields.set("spec.limits.users", "many");
        assert_eq!(fields.tenant_spec()["limits"]["users"], "many");
        fields.set("spec.limits.users", " 7 ");
        assert_eq!(fields.tenant_spec()["limits"]["users"], 7);
    }

    #[test]
    fn a_ticked_module_entitles_to_its_service() {
        let fields = Fields(vec![("module".into(), "crm/campaigns".into())]);
        assert_eq!(fields.tenant_spec()["entitlements"], json!([{ "service": "crm", "modules": ["campaigns"] }]));
    }

    #[test]
    fn an_instances_other_fields_stay_as_they_are() {
        let base = json!({
            "tenantRef": { "name": "acme" }, "services": [{ "name": "crm", "replicas": 2 }], "location": { "region": "eu" },
            "release": { "channel": "stable" }, "maintenance": { "windows": [{ "schedule": "0 2 * * SUN", "duration": "3h" }] },
            "ingress": { "host": "a.example", "className": "nginx", "controllerNamespace": "ingress" },
        });
        let mut fields = Fields::default();
        fields.add_instance(&base);
        assert_eq!(fields.instance_spec(&base), base);
        for name in ["host", "className", "controllerNamespace"] {
            fields.set(&format!("instance.spec.ingress.{name}"), "");
        }
        fields.set("instance.spec.release.channel", "");
        fields.set("instance.spec.release.version", "1.0.0");
        let changed = fields.instance_spec(&base);
        assert!(changed.get("ingress").is_none());
        assert_eq!(changed["release"], json!({ "version": "1.0.0" }));
        assert_eq!(changed["services"], base["services"]);
    }

    #[test]
    fn a_fault_is_shown_at_its_input() {
        let shown = |field: &str, message: &str| input_of(&Fault { field: field.into(), message: message.into() });
        assert_eq!(shown("spec.displayName", "displayName: must not be blank"), Some("spec.displayName"));
        assert_eq!(shown("spec", "region: can't be changed"), Some("spec.region"));
        assert_eq!(shown("spec.administrators[0].email", "email: must be"), Some(ADMINISTRATORS));
        assert_eq!(shown("spec.entitlements", "entitlements: a service"), Some(ENTITLEMENTS));
        assert_eq!(shown("spec.deployment", "deployment.instance: name the"), Some("spec.deployment.instance"));
        assert_eq!(shown("instance.spec.release", "release: name either"), Some("instance.spec.release.channel"));
        assert_eq!(shown("<root>", "metadata.name: must begin"), Some("name"));
        assert_eq!(shown("", "tenants are forbidden"), None);
    }
}
