//! What goes wrong, and that nothing is broken then.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::node::Node;
use super::{KUBEADM, MAIN};

/// It refuses with these words, and touches nothing.
#[track_caller]
fn refuses(node: &Node, words: &[&str], text: &str) {
    let before = node.picture();
    let output = node.call(words);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains(text), "{output}");
    assert_eq!(node.picture(), before);
}

#[test]
fn a_configuration_that_containerd_cannot_use() {
    let install = &["install"];
    refuses(&node!("1.6").with(MAIN, "version = 2\nnot toml"), install, MAIN);
    refuses(&node!("1.6").with(MAIN, "version = 2\nimports = 7\n"), install, "imports is not a list");
    let disabled = "disabled_plugins = [\"cri\"]\n"; // as Docker's packages have it
    refuses(&node!("2").with(MAIN, disabled), install, "disabled_plugins");
    let disabled = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
    refuses(&node!("1.6").with(MAIN, disabled), install, "take it out of disabled_plugins");
    // A table that nothing can be added to.
    let inline = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nruntimes = { runc = { runtime_type = \"x\" } }\n";
    refuses(&node!("1.6").with(MAIN, inline), install, "nothing was changed");
    let node = node!("1.6");
    fs::create_dir_all(node.path(MAIN)).unwrap();
    refuses(&node, install, "cannot read /etc/containerd/config.toml");
}

#[test]
fn a_node_without_containerd() {
    let missing = &["install", "--containerd", "/usr/bin/no-such-containerd"];
    refuses(&node!("1.6").with(MAIN, KUBEADM), missing, "no-such-containerd");
    refuses(&node!("1.6").with(MAIN, KUBEADM), &["install", "--containerd", "/usr/bin/true"], "version");
}

#[test]
fn a_dry_run_changes_nothing() {
    for series in ["1.6", "2"] {
        let node = node!(series).with(MAIN, KUBEADM);
        let before = node.picture();
        let said = node.finish(node.sandrun(&["install", "--dry-run"])).ok().stdout;
        assert!(said.contains("runtimes.sandrun-strict"), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(node.picture(), before);
    }
}

/// Half of it fits: what was written is taken back.
#[test]
fn a_disk_that_is_full() {
    let node = node!("1.6").with(MAIN, KUBEADM);
    let before = node.picture();
    let full = format!(
        "mount -t tmpfs -o size=1m none {0}/usr/local && mkdir {0}/usr/local/bin && exec \"$@\"",
        node.path("").display()
    );
    let inner = node.sandrun(&["install", "--no-restart"]);
    let words: Vec<_> = inner.get_args().skip(2).map(|word| word.to_str().unwrap()).collect();
    let output = node.finish(node.beside(&[&["sh", "-c", &full, "sh"], words.as_slice()].concat()));
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("cannot write /usr/local/bin/sandrun: No space left"), "{output}");
    assert_eq!(node.picture(), before);
}

#[test]
fn a_place_from_which_nothing_is_executed() {
    let node = node!("1.6").with(MAIN, KUBEADM);
    let before = node.picture();
    let noexec = format!("mount -o remount,bind,noexec {}/usr/local && exec \"$@\"", node.path("").display());
    let inner = node.sandrun(&["install", "--no-restart"]);
    let words: Vec<_> = inner.get_args().skip(2).map(|word| word.to_str().unwrap()).collect();
    let output = node.finish(node.beside(&[&["sh", "-c", &noexec, "sh"], words.as_slice()].concat()));
    assert!(output.stderr.contains("choose another --bin-dir"), "{output}");
    assert_eq!(node.picture(), before);
}

#[test]
fn two_at_once() {
    let node = node!("2").with(MAIN, KUBEADM);
    let before = node.picture();
    node.dump();
    let children = [(); 3].map(|()| {
        let mut command = node.sandrun(&["install", "--no-restart"]);
        command.stdout(Stdio::null()).spawn().expect("cannot start it")
    });
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    assert!(node.handlers().contains(&"sandrun".to_owned()));
    assert!(!node.call(&["install"]).ok().stdout.contains("write"));
    node.call(&["uninstall"]).ok();
    assert_eq!(node.picture(), before);
}

/// At every call that changes a file: the next run, of either kind, finds whole files and ends where it should.
#[test]
fn killed_at_every_step() {
    skip_unless!(crate::support::runtime::find("strace").is_some(), "strace is not installed");
    for (series, verb) in [("1.6", "install"), ("2", "install"), ("2", "uninstall")] {
        let node = node!(series).with(MAIN, KUBEADM);
        let before = node.picture();
        node.call(&["install"]).ok();
        let installed = node.picture();
        let reset = |to: &str| drop(node.call(&[to]).ok());
        let mut killed = 0;
        for call in ["rename", "unlink", "mkdir", "rmdir"] {
            for nth in 1.. {
                reset(if verb == "install" { "uninstall" } else { "install" });
                if !kill_at(&node, verb, call, nth) {
                    break;
                }
                killed += 1;
                // What is there now is used by containerd as well as before.
                node.handlers();
                match nth % 2 {
                    0 => assert_eq!(
                        (reset("install"), node.picture()).1,
                        installed,
                        "{verb} killed at {call} {nth}"
                    ),
                    _ => assert_eq!(
                        (reset("uninstall"), node.picture()).1,
                        before,
                        "{verb} killed at {call} {nth}"
                    ),
                }
            }
        }
        assert!(killed > 10, "{verb} made {killed} calls");
    }
}

/// Whether it was killed there, or ended before it came to that.
fn kill_at(node: &Node, verb: &str, call: &str, nth: usize) -> bool {
    let inner = node.sandrun(&[verb, "--no-restart"]);
    let words: Vec<_> = inner.get_args().skip(2).map(|word| word.to_str().unwrap()).collect();
    let inject = format!("inject={call},{call}at,{call}at2:signal=KILL:when={nth}");
    let inject = if call == "rmdir" { format!("inject={call}:signal=KILL:when={nth}") } else { inject };
    let inject = if call != "rename" { inject.replace(&format!(",{call}at2"), "") } else { inject };
    let trace = inject.replace("inject=", "trace=").split(':').next().unwrap_or_default().to_owned();
    let strace = ["strace", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let mut command: Command = node.beside(&[strace.as_slice(), &words].concat());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("cannot start strace");
    std::thread::sleep(Duration::from_millis(1));
    !status.success()
}
