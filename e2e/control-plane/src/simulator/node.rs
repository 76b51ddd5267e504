//! The one node: its labels, what it takes, and which images it has.

use k8s_openapi::api::core::v1::{Container, Node, Pod};
use kube::{Api, Client, api::PostParams};
use serde_json::{from_value, json};

/// The region that the node is in.
pub const REGION: &str = "local";
const NAME: &str = "simulated";
/// CPUs and bytes of memory of the node.
const CPUS: f64 = 64.0;
const MEMORY_GIB: f64 = 256.0;
/// The images of the services, by name and tag.
const REGISTRY: &str = "localhost/easycode/";
const TAG: &str = "dev";

/// Registers the node.
pub(super) async fn register(client: &Client) -> anyhow::Result<()> {
    let labels = json!({
        "kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": REGION, "topology.kubernetes.io/zone": format!("{REGION}-a"),
    });
    let node: Node = from_value(json!({ "metadata": { "name": NAME, "labels": labels } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &node).await?;
    Ok(())
}

/// Why the node does not take a pod, in the scheduler's words.
pub(super) fn refusal(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let matches = |(key, value): (&String, &String)| match key.as_str() {
        "kubernetes.io/hostname" => value == NAME,
        "kubernetes.io/os" => value == "linux",
        "topology.kubernetes.io/region" => value == REGION,
        "topology.kubernetes.io/zone" => *value == format!("{REGION}-a"),
        _ => false,
    };
    if !spec.node_selector.iter().flatten().all(matches) {
        return Some("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.".to_owned());
    }
    let asked = |resource: &str| spec.containers.iter().filter_map(|one| request(one, resource)).sum::<f64>();
    let lacks = if asked("cpu") > CPUS {
        "cpu"
    } else if asked("memory") > MEMORY_GIB {
        "memory"
    } else {
        return None;
    };
    Some(format!("0/1 nodes are available: 1 Insufficient {lacks}."))
}

/// What a container asks for, in CPUs or gibibytes.
fn request(container: &Container, resource: &str) -> Option<f64> {
    let text = &container.resources.as_ref()?.requests.as_ref()?.get(resource)?.0;
    let units = [("m", 0.001), ("Gi", 1.0), ("Mi", 1.0 / 1024.0), ("Ti", 1024.0)];
    let (number, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text.as_str(), if resource == "cpu" { 1.0 } else { f64::from(2_f32.powi(-30)) }));
    Some(number.parse::<f64>().ok()? * unit)
}

/// The service that an image has, if the node has the image.
pub(super) fn program(image: &str) -> Option<&str> {
    let (name, tag) = image.strip_prefix(REGISTRY)?.split_once(':')?;
    (tag == TAG).then_some(name)
}
