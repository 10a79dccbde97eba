//! `sandrun install` on nodes of many kinds, with the real containerd: what it makes of the configuration before and after,
//! and that nothing of it is left, byte for byte.

/// Ends the test where there is no node of this series.
macro_rules! node {
    ($series:expr) => {{
        skip_unless!($crate::support::is_root(), "needs root");
        match $crate::install::node::Node::new($series) {
            Ok(node) => node,
            Err(why) => skip!("{why}"),
        }
    }};
}

mod daemon;
mod files;
mod image;
mod labels;
mod node;
mod trouble;

use node::Node;

/// As kubeadm's documents have it, with a comment and a setting that must survive.
const KUBEADM: &str = r#"version = 2 # by hand
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.test/pause:9"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
"#;

const MAIN: &str = "/etc/containerd/config.toml";

/// Installs, looks, installs again, uninstalls, and compares with what was there before.
#[track_caller]
fn there_and_back(node: &Node) {
    let (before, handlers) = (node.picture(), node.handlers());
    node.call(&["install"]).ok();
    let (after, with_ours) = (node.picture(), node.handlers());
    let mut wanted =
        [handlers, ["sandrun", "sandrun-oci", "sandrun-strict"].map(str::to_owned).to_vec()].concat();
    wanted.sort();
    assert_eq!(with_ours, wanted);
    let again = node.call(&["install"]).ok().stdout;
    assert!(!again.contains("write"), "{again}");
    assert_eq!(node.picture(), after);
    node.call(&["uninstall"]).ok();
    assert_eq!(node.picture(), before);
}
