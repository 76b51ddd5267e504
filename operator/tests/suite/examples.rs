//! The examples of the repository, and how plans of them become readable snapshots.

use std::path::Path;

use easycode_operator::{
    cli::plan::catalogue::Catalogue,
    kubernetes::{labels, object::Planned},
    stack::{blueprint::Operator, names::Names},
};
use serde_json::Value;

/// The folder of examples.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// Everything in the folder, as the command line reads it.
pub fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.read(Path::new(FOLDER)).unwrap();
    catalogue
}

/// The operator as the chart installs it.
pub fn operator() -> Operator {
    Operator {
        namespace: "easycode-system".into(),
        service_account: "easycode-operator".into(),
        namespace_role: "easycode-operator-namespace".into(),
        cloudnative_pg_namespace: "cnpg-system".into(),
        names: Names::default(),
    }
}

/// Kind and place of an object.
pub fn title(object: &Planned) -> String {
    let place = if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
    format!("{:?} {place}{}", object.kind, object.name)
}

/// The objects as YAML, each under its title. The copy of a rendering that a workload carries is checked and left out.
pub fn objects_text(objects: &[Planned]) -> String {
    objects
        .iter()
        .map(|object| {
            let mut body = object.body.clone();
            if let Some(annotations) =
                body.pointer_mut("/metadata/annotations").filter(|one| one[labels::RENDERED] != Value::Null)
            {
                assert_is_copy(&object.body, annotations[labels::RENDERED].as_str().unwrap());
                annotations[labels::RENDERED] = "all of this, as JSON".into();
            }
            format!("# {}\n{}", title(object), serde_saphyr::to_string(&body).unwrap())
        })
        .collect::<Vec<_>>()
        .join("---\n")
}

/// The copy has everything but what identifies the object and the two notes on the copy itself.
fn assert_is_copy(body: &Value, copy: &str) {
    let mut rest = body.clone();
    for key in ["apiVersion", "kind"] {
        rest.as_object_mut().unwrap().remove(key);
    }
    let metadata = rest["metadata"].as_object_mut().unwrap();
    for key in ["name", "namespace", "annotations"] {
        metadata.remove(key);
    }
    assert_eq!(serde_json::from_str::<Value>(copy).unwrap(), rest);
}

/// Compares with the snapshot of the name in `tests/snapshots`.
pub fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
