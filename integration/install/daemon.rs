//! With containerd running: it is restarted, has the handlers, and runs containers; or it gets its files back.

use std::fs;

use super::node::{Node, RESTART};
use super::{KUBEADM, MAIN};
use crate::support::Bundle;

/// Pods there are none of here, so cgroups are made by nobody else.
fn main_configuration() -> String {
    KUBEADM.replace("SystemdCgroup = true", "SystemdCgroup = false")
}

macro_rules! running_node {
    ($series:expr) => {{
        let mut node = node!($series).with(MAIN, &main_configuration());
        node.start();
        node
    }};
}

fn lives(mut node: Node) {
    node.start();
    let before = node.picture();
    let checked = node.finish(node.sandrun(&["install", "--check"]));
    assert_eq!(checked.code, 1, "{checked}");
    assert_eq!(checked.json()["labels"]["sandrun.dev/ready"], "false");
    let said = node.call_restarting(&["install"]).ok().stdout;
    assert!(said.ends_with("restart  containerd\ninstalled\n"), "{said}");
    let checked = node.finish(node.sandrun(&["install", "--check"])).ok();
    assert_eq!(checked.json()["ready"], true, "{checked}");
    assert_eq!(node.call_restarting(&["install"]).ok().stdout.lines().last(), Some("nothing to do"));
    runs_a_container(&node);
    node.call_restarting(&["uninstall"]).ok();
    assert_eq!(node.picture(), before);
    assert_eq!(node.finish(node.sandrun(&["install", "--check"])).code, 1);
}

/// By the program that was installed, of the type that the handlers have.
fn runs_a_container(node: &Node) {
    let bundle = Bundle::shell("");
    let status =
        std::process::Command::new("cp").arg("-a").arg(bundle.rootfs()).arg(node.path("run/rootfs")).status();
    assert!(status.unwrap().success());
    let shim = "/usr/local/bin/containerd-shim-sandrun-v2";
    let words = ["ctr", "run", "--rm", "--runtime", shim, "--cgroup"];
    let cgroup = format!("/{}", bundle.id);
    let run =
        ["--rootfs", "/run/rootfs", &bundle.id, "/bin/sh", "-c", "grep -c '^Seccomp:.2' /proc/self/status"];
    let said = node.in_daemon(&[&words, [cgroup.as_str()].as_slice(), &run].concat());
    assert_eq!((said.code, said.stdout.as_str()), (0, "1\n"), "{said}\n{}", node.log());
    crate::support::leaks::remove_cgroups(&bundle.id);
}

#[test]
fn containerd_1_6() {
    lives(node!("1.6").with(MAIN, &main_configuration()));
}

#[test]
fn containerd_1_7() {
    lives(node!("1.7").with(MAIN, &main_configuration()));
}

#[test]
fn containerd_2() {
    lives(node!("2").with(MAIN, &main_configuration()));
}

/// Killed after the files were written, or restarted by nobody: the next run sees what containerd has, not only its files.
#[test]
fn a_restart_that_is_due_is_made_up_for() {
    let node = running_node!("1.6");
    node.call(&["install"]).ok();
    assert_eq!(node.finish(node.sandrun(&["install", "--check"])).code, 1);
    let said = node.call_restarting(&["install"]).ok().stdout;
    assert!(said.contains("restart  containerd") && !said.contains("write"), "{said}");
    node.finish(node.sandrun(&["install", "--check"])).ok();
}

#[test]
fn a_restart_that_fails_is_undone() {
    let node = running_node!("2");
    let before = node.picture();
    let failing = ["install", "--restart-command", "exit 7", "--timeout", "2"];
    let output = node.finish(node.sandrun(&failing));
    assert_eq!(output.code, 125, "{output}");
    assert!(
        output.stderr.contains("containerd did not come back with the change; its files are as before"),
        "{output}"
    );
    assert!(output.stderr.contains("exit status: 7"), "{output}");
    assert_eq!(node.picture(), before);
    // It restarts, but by another configuration, so that the handlers are not there.
    let output = node.finish(node.sandrun(&["install", "--restart-command", "true", "--timeout", "2"]));
    assert!(output.stderr.contains("its files are as before, and it runs"), "{output}");
    assert!(
        output.stderr.contains("containerd has no handler: sandrun, sandrun-strict, sandrun-oci"),
        "{output}"
    );
    assert_eq!(node.picture(), before);
}

/// What its `config dump` accepts and its start does not.
#[test]
fn a_containerd_that_does_not_start_gets_its_files_back() {
    let node = running_node!("1.6");
    let before = node.picture();
    let breaks_once = format!(
        "[ -e /run/broken ] || {{ touch /run/broken; mv /etc/containerd/config.toml /run/; echo x >/etc/containerd/config.toml; }}; {RESTART}"
    );
    let output = node.finish(node.sandrun(&["install", "--restart-command", &breaks_once, "--timeout", "5"]));
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("its files are as before, and it runs"), "{output}");
    assert_eq!(node.picture(), before);
    node.in_daemon(&["ctr", "version"]).ok();
}

#[test]
fn containers_of_the_handlers_run() {
    let node = running_node!("1.6");
    node.call_restarting(&["install"]).ok();
    let tasks = node.path("run/containerd/io.containerd.runtime.v2.task/k8s.io/one");
    fs::create_dir_all(&tasks).unwrap();
    fs::write(tasks.join("options.json"), "{\"BinaryName\":\"/usr/local/bin/sandrun-strict\"}").unwrap();
    let before = node.picture();
    let output = node.call_restarting(&["uninstall"]);
    assert_eq!(output.code, 125, "{output}");
    assert!(
        output.stderr.contains("1 containers under containerd's shim run; delete or move their pods"),
        "{output}"
    );
    assert_eq!(node.picture(), before);
    node.call_restarting(&["uninstall", "--force"]).ok();
}
