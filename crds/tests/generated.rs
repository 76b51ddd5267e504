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
