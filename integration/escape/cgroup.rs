//! Files of cgroups and of `/proc/sys` through which the kernel does something on the host: CVE-2022-0492, CVE-2022-0811,
//! CVE-2023-25809, and paths that leave the hierarchy.

use std::path::Path;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root, leaks};

#[test]
fn a_cgroup_path_stays_below_the_root() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    for path in ["../../../tmp/ID", "/../ID", "/a/../../ID", "./ID", "/ID/.", "//ID", "/a//ID"] {
        let bundle = Bundle::probe(&["exit", "0"]);
        let path = path.replace("ID", &bundle.id);
        let bundle = bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(path));
        let output = runtime.run(&bundle);
        assert_eq!(output.code, 125, "{path}: {output}");
        assert!(!Path::new("/tmp").join(&bundle.id).exists(), "{path}: made outside");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn nothing_of_the_cgroup_is_writable() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["writable", "/sys"]));
    assert_eq!(seen, json!([]));
    let writable = Bundle::probe(&["writable", "/sys/fs/cgroup"]).edit(|config| {
        for mount in config["mounts"].as_array_mut().expect("a list") {
            mount["options"].as_array_mut().expect("a list").retain(|option| option != "ro");
        }
    });
    let weak = Runtime::at_level("oci").ask(&writable);
    assert!(weak.to_string().contains("cgroup.procs"), "the probe cannot tell: {weak}");
    assert_eq!(Runtime::sandrun().ask(&writable), json!([]), "baseline makes it read-only whatever is asked");
}

#[test]
fn no_kernel_parameter_is_writable() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["writable", "/proc/sys"]);
    assert_eq!(Runtime::sandrun().ask(&bundle), json!([]));
    let open =
        Bundle::probe(&["writable", "/proc/sys"]).edit(|config| config["linux"]["readonlyPaths"] = json!([]));
    let weak = Runtime::at_level("oci").ask(&open);
    assert!(weak.to_string().contains("core_pattern"), "the probe cannot tell: {weak}");
    assert_eq!(Runtime::sandrun().ask(&open), json!([]), "baseline makes it read-only whatever is asked");
}
