//! Another user than the one that was asked for, and more than asked for: CVE-2016-3697, CVE-2022-24769, CVE-2022-29162,
//! CVE-2022-2989, CVE-2026-30892.

use std::fs;

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

#[test]
fn exec_takes_no_number_for_another() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::shell("sleep 60");
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let exec = |user: &str| runtime.call(&["exec", "--user", user, &bundle.id, "/probe", "status"]);
    for user in [
        "4294967295",
        "4294967296",
        "4294968296",
        "-1",
        "0x0",
        " 0",
        "+0",
        "",
        "root",
        "0:4294967296",
        "1:-1",
        "0:",
        ":0",
        "1e3",
    ] {
        let output = exec(user);
        assert_ne!(output.code, 0, "{user:?} was accepted: {output}");
    }
    assert_eq!(exec("4294967294:7").ok().json()["Uid"], "4294967294 4294967294 4294967294 4294967294");
    // The same check: what runc takes for 0.
    if let Some(runc) = Runtime::peer("runc") {
        let bundle = Bundle::shell("sleep 60");
        runc.create(&bundle).ok();
        runc.call(&["start", &bundle.id]).ok();
        let output = runc.call(&["exec", "--user", "4294967296", &bundle.id, "/probe", "status"]);
        assert!(output.code != 0 || output.json()["Uid"] == "0 0 0 0", "runc has another idea: {output}");
    }
}

#[test]
fn the_users_of_the_image_are_nobody() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["status"]).edit(|config| {
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [7, 8] });
    });
    fs::write(bundle.rootfs().join("etc/passwd"), "1000:x:0:0::/:/bin/sh\nroot:x:1000:0::/:/bin/sh\n")
        .expect("cannot write");
    fs::write(bundle.rootfs().join("etc/group"), "wheel:x:0:1000\ndisk:x:6:1000\n").expect("cannot write");
    let seen = Runtime::sandrun().ask(&bundle);
    assert_eq!(seen["Uid"], "1000 1000 1000 1000");
    assert_eq!(seen["Gid"], "1001 1001 1001 1001");
    assert_eq!(seen["Groups"].as_str().map(str::trim), Some("7 8"));
}

#[test]
fn nothing_is_inheritable() {
    skip_unless!(is_root(), "needs root");
    for level in ["oci", "baseline"] {
        let runtime = Runtime::at_level(level);
        let bundle = Bundle::shell("sleep 60");
        runtime.create(&bundle).ok();
        runtime.call(&["start", &bundle.id]).ok();
        let inside = runtime.call(&["exec", &bundle.id, "/probe", "caps"]).ok().json();
        let first = runtime.ask(&Bundle::probe(&["caps"]));
        for seen in [inside, first] {
            assert_eq!((&seen["inheritable"], &seen["ambient"]), (&json!([]), &json!([])), "{level}: {seen}");
        }
    }
}
