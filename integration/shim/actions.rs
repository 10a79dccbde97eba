//! What the program prints.

use std::io::Write;
use std::process::{Command, Stdio};

use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::types::introspection::RuntimeInfo;

use super::driver::{Containerd, obedient, program};
use crate::support::is_root;

#[test]
fn info_has_the_features_that_the_runtime_tells() {
    let mut info = Command::new(program());
    info.arg("-info").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut info = info.spawn().unwrap();
    info.stdin.take().unwrap().write_all(b"").unwrap();
    let output = info.wait_with_output().unwrap();
    let info = RuntimeInfo::parse_from_bytes(&output.stdout).unwrap();
    assert_eq!(info.name, "io.containerd.sandrun.v2");
    let known = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";
    assert_eq!(info.features.type_url, known);
    let features: serde_json::Value = serde_json::from_slice(&info.features.value).unwrap();
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    let options = features["mountOptions"].as_array().unwrap();
    assert!(options.iter().any(|option| option == "rro"), "{options:?}");
}

#[test]
fn the_version_is_printed() {
    let output = Command::new(program()).arg("-v").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}

/// containerd shows what is said on standard error.
#[test]
fn what_goes_wrong_is_said() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let bundle = obedient();
    let output = containerd.command(&bundle, &["start"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(error.contains("cannot read ./config.json"), "{error}");
    for (words, said) in
        [(&["stop"][..], "unknown action"), (&["-nonsense", "x", "start"][..], "unknown flag")]
    {
        let output = containerd.command(&bundle, words).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{error}");
    }
}
