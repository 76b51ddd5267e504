//! The pod security standard `restricted`, and a read-only root file system, as a check of one pod's spec.

use serde_json::Value;

/// Kinds of volumes that `restricted` admits.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// What of the pod's spec violates the standard; nothing if it satisfies it.
pub fn violations(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[shared] == true {
            found.push(format!("{shared} is set"));
        }
    }
    for volume in list(&pod["volumes"]) {
        let kinds = volume.as_object().into_iter().flatten().map(|(kind, _)| kind.as_str());
        found.extend(
            kinds
                .filter(|kind| *kind != "name" && !VOLUMES.contains(kind))
                .map(|kind| format!("volume {} is a {kind}", volume["name"])),
        );
    }
    if !list(&pod["securityContext"]["sysctls"]).is_empty() {
        found.push("sysctls are set".to_owned());
    }
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    let all: Vec<_> = containers.iter().flat_map(|kind| list(&pod[kind])).collect();
    if all.is_empty() {
        found.push("there is no container".to_owned());
    }
    for container in all {
        let name = container["name"].as_str().unwrap_or_default();
        found.extend(container_violations(container, &pod["securityContext"]).map(|what| format!("{name}: {what}")));
    }
    found
}

fn container_violations<'a>(container: &'a Value, pod: &'a Value) -> impl Iterator<Item = &'static str> + use<'a> {
    let own = &container["securityContext"];
    // What a container does not say is taken from the pod.
    let effective = |field: &str| if own[field].is_null() { &pod[field] } else { &own[field] };
    let profile = effective("seccompProfile")["type"].as_str().unwrap_or_default();
    let drops: Vec<_> = list(&own["capabilities"]["drop"]).iter().filter_map(Value::as_str).collect();
    let adds_nothing = list(&own["capabilities"]["add"]).iter().all(|one| one == "NET_BIND_SERVICE");
    [
        (*effective("runAsNonRoot") == true, "may run as root"),
        (*effective("runAsUser") != 0, "runs as root"),
        (["RuntimeDefault", "Localhost"].contains(&profile), "has no seccomp profile"),
        (own["allowPrivilegeEscalation"] == false, "may escalate its privileges"),
        (own["privileged"] != true, "is privileged"),
        (drops.contains(&"ALL"), "keeps capabilities"),
        (adds_nothing, "adds capabilities"),
        (own["procMount"].is_null() || own["procMount"] == "Default", "sees the host's /proc"),
        (list(&container["ports"]).iter().all(|port| port["hostPort"].is_null()), "takes a port of the host"),
        (own["readOnlyRootFilesystem"] == true, "may write to its root file system"),
    ]
    .into_iter()
    .filter_map(|(holds, violation)| (!holds).then_some(violation))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn each_violation_is_found() {
    use serde_json::json;

    let good = json!({
        "securityContext": { "runAsNonRoot": true, "runAsUser": 1, "seccompProfile": { "type": "RuntimeDefault" } },
        "volumes": [{ "name": "tmp", "emptyDir": {} }],
        "initContainers": [],
        "containers": [{
            "name": "c",
            "ports": [{ "containerPort": 80 }],
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
            },
        }],
    });
    assert_eq!(violations(&good), [""; 0]);
    for (at, value, violation) in [
        ("/hostNetwork", json!(true), "hostNetwork is set"),
        ("/volumes/0/hostPath", json!({ "path": "/" }), "volume \"tmp\" is a hostPath"),
        ("/securityContext/sysctls", json!([{ "name": "n", "value": "v" }]), "sysctls are set"),
        ("/securityContext/runAsNonRoot", json!(false), "c: may run as root"),
        ("/securityContext/runAsUser", json!(0), "c: runs as root"),
        ("/containers/0/securityContext/runAsUser", json!(0), "c: runs as root"),
        ("/securityContext/seccompProfile", json!({ "type": "Unconfined" }), "c: has no seccomp profile"),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(null), "c: may escalate its privileges"),
        ("/containers/0/securityContext/privileged", json!(true), "c: is privileged"),
        ("/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"]), "c: keeps capabilities"),
        ("/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"]), "c: adds capabilities"),
        ("/containers/0/securityContext/procMount", json!("Unmasked"), "c: sees the host's /proc"),
        ("/containers/0/ports/0/hostPort", json!(80), "c: takes a port of the host"),
        ("/containers/0/securityContext/readOnlyRootFilesystem", json!(false), "c: may write to its root file system"),
        ("/containers", json!([]), "there is no container"),
        ("/initContainers", json!([{ "name": "i" }]), "i: keeps capabilities"),
    ] {
        let mut bad = good.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[key] = value;
        assert!(violations(&bad).iter().any(|found| found == violation), "{at}: {:?}", violations(&bad));
    }
}
