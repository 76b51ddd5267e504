//! `easycode plan` as a person runs it on the examples, without a cluster.

use std::process::{Command, Output};

use crate::examples::{FOLDER, assert_snapshot};

fn easycode(arguments: &[&str]) -> Output {
    // Without the environment, so that nothing but the arguments counts.
    Command::new(env!("CARGO_BIN_EXE_easycode")).args(arguments).env_clear().output().unwrap()
}

#[test]
fn plan_of_the_examples_without_a_cluster() {
    let output = easycode(&["plan", "--offline", "--file", FOLDER]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_snapshot("command-line-plan", &String::from_utf8(output.stdout).unwrap());
}

#[test]
fn a_file_that_is_no_custom_resource_is_refused_by_name() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/easycode/values.yaml");
    let output = easycode(&["plan", "--offline", "--file", path]);
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("values.yaml") && message.contains("metadata.name"), "{message}");
}
