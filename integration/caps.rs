//! Capabilities and identity are what the configuration and the level allow, in `run` and in `exec`.

use serde_json::{Value, json};

use crate::support::bundle::ENGINE_CAPABILITIES;
use crate::support::{Bundle, Runtime, is_root};

fn sorted(set: &Value) -> Vec<String> {
    let mut names: Vec<String> = set
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

fn names(set: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = set.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn at_oci_the_sets_are_those_of_the_configuration() {
    skip_unless!(is_root(), "needs root");
    let seen = Runtime::at_level("oci").ask(&Bundle::probe(&["caps"]));
    for set in ["permitted", "effective", "bounding", "boundingByPrctl"] {
        assert_eq!(sorted(&seen[set]), names(ENGINE_CAPABILITIES), "{set}");
    }
    for set in ["inheritable", "ambient"] {
        assert_eq!(sorted(&seen[set]), names(&[]), "{set}");
    }
}

#[test]
fn baseline_takes_away_what_ordinary_images_do_not_need() {
    skip_unless!(is_root(), "needs root");
    const TAKEN: &[&str] = &["CAP_NET_RAW", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP", "CAP_SYS_CHROOT"];
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["caps"]));
    let kept: Vec<&str> = ENGINE_CAPABILITIES.iter().filter(|name| !TAKEN.contains(name)).copied().collect();
    for set in ["permitted", "effective", "bounding", "boundingByPrctl"] {
        assert_eq!(sorted(&seen[set]), names(&kept), "{set}");
    }
}

#[test]
fn baseline_adds_nothing_to_an_empty_set() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["caps"]).edit(|config| config["process"]["capabilities"] = json!({}));
    let seen = Runtime::sandrun().ask(&bundle);
    for set in ["permitted", "effective", "inheritable", "bounding", "ambient", "boundingByPrctl"] {
        assert_eq!(sorted(&seen[set]), names(&[]), "{set}");
    }
}

#[test]
fn another_user_keeps_only_ambient_capabilities() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["status"]).edit(|config| {
        config["process"]["user"] =
            json!({ "uid": 1000, "gid": 1001, "additionalGids": [29, 44], "umask": 0o27 });
    });
    let seen = Runtime::at_level("oci").ask(&bundle);
    assert_eq!(seen["Uid"], "1000 1000 1000 1000");
    assert_eq!(seen["Gid"], "1001 1001 1001 1001");
    let groups: Vec<&str> =
        seen["Groups"].as_str().unwrap_or_default().split(' ').filter(|g| *g != "1001").collect();
    assert_eq!(groups, ["29", "44"]);
    assert_eq!(seen["Umask"], "0027");
    assert_eq!(seen["CapEff"], "0000000000000000");
    assert_eq!(seen["CapPrm"], "0000000000000000");
}

#[test]
fn no_new_privileges_is_always_on_at_baseline() {
    skip_unless!(is_root(), "needs root");
    let bundle =
        || Bundle::probe(&["status"]).edit(|config| config["process"]["noNewPrivileges"] = json!(false));
    assert_eq!(Runtime::at_level("oci").ask(&bundle())["NoNewPrivs"], "0", "oci: to the letter");
    assert_eq!(Runtime::sandrun().ask(&bundle())["NoNewPrivs"], "1");
}

#[test]
fn a_set_user_id_file_gains_nothing() {
    skip_unless!(is_root(), "needs root");
    let weak = Bundle::probe(&["gates", "set-user-id"])
        .edit(|config| config["process"]["noNewPrivileges"] = json!(false));
    let seen = Runtime::at_level("oci").ask(&weak);
    assert_eq!(seen["set-user-id"]["open"], true, "the attack does not work at all: {seen}");
    let seen = Runtime::sandrun().ask(&Bundle::probe(&["gates", "set-user-id"]));
    assert_eq!(seen["set-user-id"]["open"], false, "{seen}");
}

#[test]
fn exec_is_not_stronger_than_its_container() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let inside = runtime.call(&["exec", &bundle.id, "/probe", "caps"]).ok().json();
    let first = runtime.ask(&Bundle::probe(&["caps"]));
    assert_eq!(inside, first, "the sets of an exec and of the first process");
    let asked = runtime.call(&["exec", "--cap", "CAP_SYS_ADMIN", &bundle.id, "/probe", "caps"]);
    assert_ne!(asked.code, 0, "more was granted than the container has: {asked}");
    let status = runtime.call(&["exec", &bundle.id, "/probe", "status"]).ok().json();
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["Seccomp"], "2");
}

#[test]
fn a_user_id_that_does_not_fit_is_refused() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    for user in ["4294967296", "-1", "0x0", "4294967295"] {
        let output = runtime.call(&["exec", &format!("--user={user}"), &bundle.id, "/probe", "status"]);
        assert_ne!(output.code, 0, "exec --user={user} ran: {output}");
    }
}
