//! The Job that tries the network and the tokens, from a pod that is no service and no client of the database.

use easycode_contract::{
    probe::{self, ProbePlan, ProbeReport},
    runtime::{API_PORT, TENANT_SERVICE, api_url},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;

use crate::{
    kubernetes::{
        labels,
        object::{Kind, Planned},
    },
    runtime::{context::Context, error::Error},
    stack::{
        home::Home,
        plan::{USER, container_security, pod_security},
    },
    tenant::placement::tenants_on,
};

/// Name of the Job, and of the component that its pod is.
pub const JOB: &str = "isolation-probe";
/// For how many seconds what must be refused may still answer: engines take that long to learn of a pod on a busy node.
const PATIENCE_SECONDS: u64 = 30;
/// Most other homes that are tried at a turn.
const OTHERS: usize = 20;

/// The Job, once the home's services run.
pub fn job(home: &Home, requested: Option<&str>, context: &Context) -> Option<Planned> {
    let seen = context.seen(home)?;
    let image = seen.services.iter().find(|one| one.service == TENANT_SERVICE)?.image.clone();
    let namespace = home.namespace();
    let others = context.homes().into_iter().filter(|other| other != home);
    let others = others.filter_map(|other| Some((other.namespace(), context.seen(&other)?))).take(OTHERS);
    let forbidden = others.flat_map(|(namespace, seen)| {
        let postgres = seen.postgres.map(|service| format!("{service}.{namespace}.svc:5432"));
        postgres.into_iter().chain([format!("{TENANT_SERVICE}.{namespace}.svc:{API_PORT}")])
    });
    let plan = ProbePlan {
        // It always answers, and no policy lets this pod there.
        control: vec!["kubernetes.default.svc:443".to_owned()],
        forbidden: forbidden.collect(),
        services: seen.services.iter().map(|one| api_url(&one.service, &namespace)).collect(),
        issuer: seen.issuer,
        tenant: tenants_on(home, context).into_iter().next().unwrap_or_else(|| "nobody".to_owned()),
        patience_seconds: PATIENCE_SECONDS,
    };
    let object_labels = home.labels(JOB);
    let mut metadata = json!({ "labels": object_labels });
    if let Some(requested) = requested {
        metadata["annotations"] = json!({ labels::PROBE_ISOLATION: requested });
    }
    let body = json!({
        "metadata": metadata,
        "spec": {
            "backoffLimit": 1,
            "activeDeadlineSeconds": 150,
            "template": {
                "metadata": { "labels": object_labels },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "nodeSelector": seen.nodes.selector,
                    "tolerations": seen.nodes.tolerations,
                    "securityContext": pod_security(USER),
                    "containers": [{
                        "name": "probe",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "args": [probe::COMMAND],
                        "env": [{ "name": probe::PLAN, "value": json!(plan).to_string() }],
                        "resources": {
                            "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "200m", "memory": "64Mi" },
                        },
                        "securityContext": container_security(),
                        "volumeMounts": [{ "name": "foreign", "mountPath": probe::FOREIGN_DIR, "readOnly": true }],
                    }],
                    // Another home's token, if there is another.
                    "volumes": [{ "name": "foreign", "secret": { "secretName": JOB, "optional": true, "defaultMode": 0o440 } }],
                },
            },
        },
    });
    Some(Planned::new(Kind::Job, &namespace, JOB, body))
}

/// What the Job's pod left as its last words.
pub async fn report(namespace: &str, context: &Context) -> Result<ProbeReport, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let selector = format!("app.kubernetes.io/name={JOB}");
    let mut pods = api.list(&ListParams::default().labels(&selector)).await?.items;
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.creation_timestamp()));
    let words = pods.iter().find_map(|pod| {
        let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
        containers.first()?.state.as_ref()?.terminated.as_ref()?.message.clone()
    });
    Ok(words.and_then(|words| serde_json::from_str(&words).ok()).unwrap_or_else(|| ProbeReport {
        untried: vec![format!("Job {namespace}/{JOB} left no report; see its pod's log")],
        ..ProbeReport::default()
    }))
}
