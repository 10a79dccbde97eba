//! The order of what is told: containerd's contract.

use serde_json::json;

use super::driver::{Containerd, obedient, until};
use crate::support::{Bundle, is_root};

#[test]
fn everything_is_told_in_the_order_in_which_it_happened() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    shim.exec("one", "exit 5");
    shim.try_start("one").unwrap();
    shim.wait("one");
    shim.try_delete("one").unwrap();
    shim.kill(15);
    shim.wait("");
    shim.delete();
    let told = containerd.until_told("/tasks/delete 3");
    let expected = [
        "/tasks/create",
        "/tasks/start",
        "/tasks/exec-added one",
        "/tasks/exec-started one",
        "/tasks/exit one 5",
        "/tasks/exit 3",
        "/tasks/delete 3",
    ];
    assert_eq!(told, expected);
}

/// However fast it is.
#[test]
fn no_end_is_told_before_its_beginning() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(Bundle::shell("exit 0"));
    for round in 1..=10 {
        shim.create();
        shim.start();
        assert_eq!(shim.wait(""), 0);
        shim.delete();
        until("it is told", || containerd.told().len() == 4 * round);
    }
    let told = containerd.told();
    for life in told.chunks(4) {
        assert_eq!(life, ["/tasks/create", "/tasks/start", "/tasks/exit 0", "/tasks/delete 0"]);
    }
}

/// In a pid namespace of others nothing ends with the first process by itself.
#[test]
fn the_first_process_ends_last_and_takes_all_along() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let bundle = Bundle::shell("sleep 600 & sleep 600 & trap 'exit 3' TERM; while :; do sleep 0.02; done");
    let shim = containerd.start(bundle.without_namespace("pid")).run();
    shim.exec("one", "sleep 600");
    shim.try_start("one").unwrap();
    shim.kill(15);
    assert_eq!(shim.wait(""), 3);
    assert_eq!(shim.wait("one"), 137);
    assert!(shim.pids().is_empty(), "{:?}", shim.pids());
    let told = containerd.until_told("/tasks/exit 3");
    assert_eq!(told[4..], ["/tasks/exit one 137", "/tasks/exit 3"], "{told:?}");
    let children = format!("/proc/{0}/task/{0}/children", shim.pid);
    until("every orphan is reaped", || std::fs::read_to_string(&children).unwrap().is_empty());
    shim.delete();
    shim.assert_nothing_left();
}

#[test]
fn that_memory_ran_out_is_told_before_the_end() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let bundle = Bundle::probe(&["eat", "64"]).edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 32 << 20, "swap": 32 << 20 });
    });
    let shim = containerd.start(bundle).run();
    assert_eq!(shim.wait(""), 137);
    let told = containerd.until_told("/tasks/exit 137");
    assert_eq!(told, ["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit 137"]);
}

/// The same when it is not the first process that dies of it.
#[test]
fn memory_that_ran_out_for_another_process_is_told() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let bundle = Bundle::shell("/probe eat 64; while :; do sleep 0.02; done").edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 32 << 20, "swap": 32 << 20 });
    });
    let _shim = containerd.start(bundle).run();
    containerd.until_told("/tasks/oom");
}

#[test]
fn nothing_is_lost_while_containerd_is_away() {
    skip_unless!(is_root(), "needs root");
    let containerd = Containerd::new();
    let shim = containerd.start(obedient()).run();
    containerd.until_told("/tasks/start");
    containerd.go_away();
    shim.kill(15);
    assert_eq!(shim.wait(""), 3);
    shim.delete();
    // Not even the server's own end hurries it.
    shim.shut_down();
    containerd.listen();
    let told = containerd.until_told("/tasks/delete 3");
    assert_eq!(told, ["/tasks/create", "/tasks/start", "/tasks/exit 3", "/tasks/delete 3"]);
}
