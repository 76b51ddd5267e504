//! Helm, as people run it on the chart.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The chart.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/easycode");

/// Helm by the variable HELM, else where `make deploy` links it, else from the PATH.
fn program() -> PathBuf {
    if let Some(program) = env::var_os("HELM") {
        let program = PathBuf::from(program);
        assert!(
            program.is_file(),
            "HELM is {}, which is not there: run `make test-unit`, which builds it",
            program.display()
        );
        return program;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let linked = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bin"));
    std::iter::once(linked)
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("helm"))
        .find(|program| program.is_file())
        .expect(
            "there is no helm on the PATH: run `make test` (or `make test-unit`), which builds it, or name it by HELM",
        )
}

/// Runs helm.
pub fn helm(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

/// The objects that a chart makes with the values, each given as `key=value`; or why Helm refuses.
pub fn template(chart: &Path, values: &[&str]) -> Result<Vec<Value>, String> {
    let chart = chart.to_str().unwrap();
    let mut arguments = vec!["template", "easycode", chart, "--namespace", "easycode-system"];
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    let output = helm(&arguments);
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
