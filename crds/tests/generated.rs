//! The checked-in YAML is what the types generate.

#[test]
fn yaml_is_in_sync_with_the_types() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/yaml");
    let mut expected: Vec<_> = easycode_crds::definitions().into_iter().map(|(file, _)| file).collect();
    expected.sort();
    let mut present: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    present.sort();
    assert_eq!(present, expected, "files in crds/yaml");
    for (file, crd) in easycode_crds::definitions() {
        let checked_in = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
        assert!(checked_in == easycode_crds::to_yaml(&crd).unwrap(), "{file} is stale: run `make crds`");
    }
}

#[test]
fn every_field_is_described_for_kubectl_explain() {
    fn undescribed(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            undescribed(field, &path, found);
            undescribed(&field["items"], &format!("{path}[]"), found);
        }
    }
    let mut found = Vec::new();
    for (file, crd) in easycode_crds::definitions() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            undescribed(&serde_json::to_value(schema).unwrap(), &file, &mut found);
        }
    }
    assert!(found.is_empty(), "without a description: {found:?}");
}
