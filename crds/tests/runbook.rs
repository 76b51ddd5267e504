//! The runbook speaks of every condition and every reason.

#[test]
fn every_condition_and_reason_is_in_the_runbook() {
    let source = include_str!("../src/conditions.rs");
    let runbook = include_str!("../../docs/runbook.md");
    let names: Vec<_> =
        source.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split('"').nth(1)).collect();
    assert!(names.len() > 30, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !runbook.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "docs/runbook.md says nothing of {missing:?}");
}
