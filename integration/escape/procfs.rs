//! A procfs that is none, to which the runtime would write what it believes to be labels and parameters: CVE-2019-16884,
//! CVE-2019-19921, CVE-2023-27561, CVE-2025-52881.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

/// A rootfs with files where a procfs has them.
fn faked(bundle: Bundle, at: &str) -> Bundle {
    for name in ["sys/kernel", "self/attr", "thread-self/attr"] {
        fs::create_dir_all(bundle.rootfs().join(at).join(name)).expect("cannot fake a procfs");
    }
    for name in ["sys/kernel/domainname", "self/attr/exec", "thread-self/attr/exec"] {
        fs::write(bundle.rootfs().join(at).join(name), "fake").expect("cannot fake a procfs");
    }
    bundle.edit(|config| config["linux"]["sysctl"] = json!({ "kernel.domainname": "set" }))
}

#[test]
fn parameters_are_set_past_a_fake() {
    skip_unless!(is_root(), "needs root");
    let bundle = faked(Bundle::probe(&["read", "/proc/sys/kernel/domainname"]), "proc").edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] != "/proc");
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    });
    // The steps done carelessly: what is at that path of the root filesystem is written.
    let fake = bundle.rootfs().join("proc/sys/kernel/domainname");
    assert_eq!(fs::read_to_string(&fake).expect("it is there"), "fake");
    let seen = Runtime::sandrun().ask(&bundle);
    assert_eq!(seen["content"], "fake", "the fake was written to");
    let real = Bundle::probe(&["read", "/proc/sys/kernel/domainname"])
        .edit(|config| config["linux"]["sysctl"] = json!({ "kernel.domainname": "set" }));
    assert_eq!(Runtime::sandrun().ask(&real)["content"], "set\n");
}

#[test]
fn a_proc_that_is_a_link_to_a_fake_is_refused() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = faked(Bundle::probe(&["exit", "0"]), "fake");
    fs::remove_dir(bundle.rootfs().join("proc")).expect("cannot remove proc");
    symlink("/fake", bundle.rootfs().join("proc")).expect("cannot plant the link");
    let output = runtime.run(&bundle);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("/proc"), "{output}");
    leaks::assert_none(&runtime, &bundle);
}

/// What is mounted over parts of /proc hides them from the workload only: whatever is written goes elsewhere.
#[test]
fn a_mount_over_proc_does_not_unconfine() {
    skip_unless!(is_root(), "needs root");
    for destination in ["/proc", "/proc/self", "/proc/self/attr", "/proc/sys"] {
        let tmpfs = json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" });
        let bundle = Bundle::probe(&["report"]).mount(tmpfs);
        let runtime = Runtime::sandrun();
        let output = runtime.run(&bundle);
        // It may be refused; if not, the layers that the kernel itself tells of are in force.
        if output.code == 0 {
            let seen = output.json();
            let bounding = seen["caps"]["boundingByPrctl"].as_array().expect("a list");
            assert!(!bounding.contains(&json!("CAP_SYS_ADMIN")), "{destination}: {bounding:?}");
        } else {
            assert_eq!(output.code, 125, "{destination}: {output}");
        }
        leaks::assert_none(&runtime, &bundle);
    }
}
