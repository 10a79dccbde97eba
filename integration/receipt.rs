//! The receipt: what the state says is enforced, and that it is what the kernel says.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

const PREFIX: &str = "dev.sandrun.receipt.";

/// What the state's annotations tell, by layer.
fn told(state: &Value) -> BTreeMap<String, String> {
    let annotations = state["annotations"].as_object().cloned().unwrap_or_default();
    let ours = annotations.iter().filter_map(|(name, text)| {
        Some((name.strip_prefix(PREFIX)?.to_owned(), text.as_str().expect("text").to_owned()))
    });
    ours.collect()
}

fn running(runtime: &Runtime, bundle: &Bundle) -> (Value, i64) {
    runtime.create(bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let pid = state["pid"].as_i64().expect("a pid");
    (state, pid)
}

/// A field of `/proc/PID/status`.
fn kernel(pid: i64, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}: {status}")).trim().to_owned()
}

#[test]
fn annotations_of_the_state_tell_each_layer_as_the_kernel_has_it() {
    skip_unless!(is_root(), "needs root");
    for (level, filters, nnp) in [("oci", "0", "0"), ("baseline", "1", "1"), ("strict", "1", "1")] {
        let runtime = Runtime::at_level(level);
        let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
            config["process"]["noNewPrivileges"] = json!(false);
            config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/not-there"]);
            config["root"]["readonly"] = json!(true);
        });
        let (state, pid) = running(&runtime, &bundle);
        let told = told(&state);
        assert_eq!(told["level"], level);
        assert_eq!(kernel(pid, "Seccomp_filters"), filters);
        assert_eq!(kernel(pid, "NoNewPrivs"), nnp);
        assert!(told["paths"].starts_with("enforced: ") && told["paths"].ends_with("read-only"), "{told:?}");
        assert!(told["keyring"].starts_with("enforced: "), "{told:?}");
        let expected = if level == "oci" { "absent: " } else { "enforced: " };
        for layer in ["seccomp", "no_new_privs"] {
            assert!(told[layer].starts_with(expected), "{layer} at {level}: {told:?}");
        }
        assert_eq!(told.contains_key("landlock"), level != "oci", "{told:?}");
        if level == "oci" {
            assert!(told["paths"].contains(": 1 masked, "), "{told:?}");
        } else {
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("core");
            assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
            assert!(told["rlimits"].contains("RLIMIT_CORE 0"), "{told:?}");
        }
        let layers = state["sandrun"]["receipt"]["layers"].as_array().expect("layers");
        assert_eq!(layers.len() + 1, told.len(), "one annotation for each layer, and the level: {told:?}");
    }
}

#[test]
fn a_container_cannot_write_its_own_receipt() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::at_level("oci");
    let bundle = Bundle::probe(&["sleep", "60"]).edit(|config| {
        config["annotations"] = json!({
            "dev.sandrun.receipt.seccomp": "enforced: by wishful thinking",
            "dev.sandrun.receipt.landlock": "enforced: as well",
            "example": "stays",
        });
    });
    let refused = runtime.run(&bundle);
    assert_eq!(refused.code, 125, "{refused}");
    assert!(
        refused.stderr.contains("annotation dev.sandrun.receipt.seccomp is not one of sandrun's"),
        "{refused}"
    );
}
