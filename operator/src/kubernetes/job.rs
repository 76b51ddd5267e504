//! How a Job fares, as its conditions say it.

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

/// Whether the job has succeeded or failed; `None` while it runs.
#[must_use]
pub fn succeeded(job: &DynamicObject) -> Option<bool> {
    let is = |type_| condition(job, type_).is_some();
    if is("Complete") {
        Some(true)
    } else if is("Failed") {
        Some(false)
    } else {
        None
    }
}

/// Whether no pod of the job was ever made.
#[must_use]
pub fn has_no_pod(job: &DynamicObject) -> bool {
    let status = &job.data["status"];
    ["active", "succeeded", "failed"].iter().all(|count| status[*count].as_i64().unwrap_or_default() == 0)
}

/// When the job has succeeded or failed, if it did.
#[must_use]
pub fn ended(job: &DynamicObject) -> Option<Timestamp> {
    let since = |type_| condition(job, type_)?["lastTransitionTime"].as_str()?.parse().ok();
    since("Complete").or_else(|| since("Failed"))
}

/// The condition, if it holds.
fn condition<'a>(job: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    job.data["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == type_ && one["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(conditions: &Value) -> DynamicObject {
        serde_json::from_value(json!({ "metadata": {}, "status": { "conditions": conditions } })).unwrap()
    }

    #[test]
    fn a_job_that_was_not_counted_any_pod_has_none() {
        let with =
            |status: Value| has_no_pod(&serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap());
        assert!(with(json!({})) && with(json!({ "active": 0 })));
        assert!(!with(json!({ "active": 1 })) && !with(json!({ "failed": 1 })) && !with(json!({ "succeeded": 1 })));
    }

    #[test]
    fn a_job_has_ended_only_by_a_condition_that_holds() {
        let time = "2026-11-24T15:00:00Z";
        let with =
            |type_: &str, status: &str| job(&json!([{ "type": type_, "status": status, "lastTransitionTime": time }]));
        let at = Some(time.parse().unwrap());
        for (job, outcome, ended_at) in [
            (with("Complete", "True"), Some(true), at),
            (with("Failed", "True"), Some(false), at),
            (with("Complete", "False"), None, None),
            (with("SuccessCriteriaMet", "True"), None, None),
            (job(&Value::Null), None, None),
        ] {
            assert_eq!((succeeded(&job), ended(&job)), (outcome, ended_at), "{job:?}");
        }
    }
}
