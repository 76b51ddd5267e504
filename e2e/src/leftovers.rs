//! What a failed test has left is taken away before its second try: an instance takes up a good part of a small node.

use std::{
    env,
    fs::{File, create_dir_all, read_to_string, remove_file},
    io::Write,
    path::PathBuf,
    sync::Once,
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use crate::{
    block::unblock,
    cluster::{Cluster, checkout},
    own_instance::OwnInstance,
    own_platform::{OwnPlatform, remove_namespace},
    platform::Platform,
};

/// Longest time for it to go. The second try is made all the same, since it tells more of what is wrong.
const LONGEST: Duration = Duration::from_mins(3);

/// Where the names are that this test has given, with the number of this try, if it is nextest that runs it.
fn names() -> Option<(PathBuf, u32)> {
    let (of, test) = (env::var("NEXTEST_BINARY_ID").ok()?, env::var("NEXTEST_TEST_NAME").ok()?);
    let attempt = env::var("NEXTEST_ATTEMPT").ok()?.parse().ok()?;
    Some((checkout().join(format!("target/nextest/names/{of}.{test}").replace("::", ".")), attempt))
}

/// Remembers a name that this test gives.
pub(crate) fn remember(name: &str) -> std::io::Result<()> {
    static BEGIN: Once = Once::new();
    let Some((file, attempt)) = names() else { return Ok(()) };
    if attempt == 1 {
        // Those of a run before; there may be none.
        BEGIN.call_once(|| drop(remove_file(&file)));
    }
    create_dir_all(file.parent().unwrap_or(&file))?;
    writeln!(File::options().create(true).append(true).open(file)?, "{name}")
}

/// Takes away what the tries of this test before have left, if there were any. What does not go is told, and keeps nothing else from going.
pub(crate) async fn remove(cluster: &Cluster) {
    let Some((file, 2..)) = names() else { return };
    let Ok(given) = read_to_string(file) else { return };
    let given: Vec<_> = given.lines().map(str::to_owned).collect();
    // Blocks first: they keep the operator from letting tenants go. In tasks, since waiting in vain panics.
    let mut steps = JoinSet::new();
    for name in &given {
        steps.spawn(unblock(cluster.clone(), name.clone()));
    }
    all(&mut steps).await;
    for name in given {
        steps.spawn(remove_all_of(cluster.clone(), name));
    }
    if timeout(LONGEST, all(&mut steps)).await.is_err() {
        eprintln!("what the try before has left did not go in {LONGEST:?}");
    }
}

async fn all(steps: &mut JoinSet<anyhow::Result<()>>) {
    while let Some(step) = steps.join_next().await {
        if let Err(error) = step.map_err(anyhow::Error::from).flatten() {
            eprintln!("what the try before has left does not go: {error:#}");
        }
    }
}

async fn remove_all_of(cluster: Cluster, name: String) -> anyhow::Result<()> {
    let instance = OwnInstance::named(&cluster, &name);
    let platform = OwnPlatform { platform: Platform::of(cluster.clone(), &name) };
    let namespaces = [name.clone(), instance.namespace(), platform.platform.namespace()];
    if instance.api().get_opt(&name).await?.is_some() {
        instance.remove().await?;
    } else if instance.tenant.api().get_opt(&name).await?.is_some() {
        instance.tenant.erase().await?;
    }
    if platform.api().get_opt(&name).await?.is_some() {
        platform.remove().await?;
    }
    for namespace in namespaces {
        remove_namespace(&cluster, &namespace).await?;
    }
    Ok(())
}
