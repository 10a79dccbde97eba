//! The configurations that the peers and containerd write by themselves, asked of them when the tests run.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Scratch};

/// What `spec` of a peer writes, but without a terminal.
pub fn spec(peer: &str) -> Option<Value> {
    let runtime = Runtime::peer(peer)?;
    let dir = Scratch::new("spec");
    let output = Command::new(runtime.program()).arg("spec").current_dir(dir.path()).output().ok()?;
    assert!(output.status.success(), "{peer} spec: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read(dir.path().join("config.json")).expect("it has written config.json");
    let mut config: Value = serde_json::from_slice(&text).expect("config.json is JSON");
    config["process"]["terminal"] = json!(false);
    Some(config)
}

/// What containerd asks its runtime for when somebody runs an image without wishes: with its seccomp profile.
pub fn containerd() -> Option<Value> {
    let containerd = crate::containerd::Containerd::start()?;
    let bundle = Bundle::probe(&[]);
    let rootfs = bundle.rootfs().display().to_string();
    containerd.ctr(&["containers", "create", "--seccomp", "--rootfs", &rootfs, &bundle.id]).ok();
    let described = containerd.ctr(&["containers", "info", &bundle.id]).ok().json();
    let config = described["Spec"].clone();
    assert!(config["linux"]["seccomp"]["syscalls"].is_array(), "no profile in {described}");
    Some(config)
}

/// The same configuration in a bundle with the probe, in a cgroup of its own.
pub fn in_bundle(config: &Value, bundle: Bundle) -> Bundle {
    let id = bundle.id.clone();
    bundle.edit(|own| {
        let args = own["process"]["args"].clone();
        *own = config.clone();
        own["process"]["args"] = args;
        own["root"]["path"] = json!("rootfs");
        own["linux"]["cgroupsPath"] = json!(format!("/{id}"));
    })
}
