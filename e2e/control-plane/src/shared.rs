//! What the tests of a run share: a control plane with the operator and the examples.

use std::{
    ffi::OsString,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use easycode_e2e::cluster::WITHOUT_NODES;
use easycode_test_postgres::PostgresServer;

use crate::{control_plane::ControlPlane, environment, examples};

/// The log of all replicas of the operator.
const OPERATOR_LOG: &str = "easycode-operator.log";

/// All of it. It ends when it is dropped.
pub struct Shared {
    control_plane: ControlPlane,
    key: PathBuf,
    _postgres: PostgresServer,
}

impl Shared {
    /// Starts it, and links its logs into a folder.
    pub async fn start(logs: &Path) -> anyhow::Result<Self> {
        let control_plane = ControlPlane::start().await?;
        let key = control_plane.folder().join("signing-key.pem");
        for log in [OPERATOR_LOG, "kube-apiserver.log", "kube-controller-manager.log"] {
            let link = logs.join(log);
            // Of a run before; there may be none.
            let _ = std::fs::remove_file(&link);
            symlink(control_plane.folder().join(log), link)?;
        }
        let postgres = examples::apply(&control_plane.cluster, &key).await?;
        Ok(Self { control_plane, key, _postgres: postgres })
    }

    /// The environment by which tests find it.
    pub fn environment(&self) -> anyhow::Result<Vec<(&'static str, OsString)>> {
        Ok(vec![
            ("EASYCODE_CLUSTER", WITHOUT_NODES.into()),
            ("KUBECONFIG", self.control_plane.kubeconfig().into()),
            ("EASYCODE_KEY", self.key.clone().into()),
            ("EASYCODE_PROGRAM", environment::workspace("easycode")?.into()),
            ("EASYCODE_OPERATOR_LOG", self.control_plane.folder().join(OPERATOR_LOG).into()),
        ])
    }
}
