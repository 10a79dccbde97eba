//! The DaemonSet's image, in the containerd that it changes: its container installs on the node that it runs on.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::node::RESTART;
use super::{KUBEADM, MAIN};

#[test]
fn a_container_of_the_image_installs_on_its_node() {
    let programs = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("static");
    let built = ["sandrun", "containerd-shim-sandrun-v2", "sandrun-node"];
    skip_unless!(
        built.iter().all(|name| programs.join(name).is_file()),
        "there are no static programs; scripts/build-image makes them"
    );
    let mut node = node!("1.6").with(MAIN, &KUBEADM.replace("= true", "= false"));
    node.start();
    let before = node.picture();
    let mut build = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/build-image"));
    build.arg(node.path("run/image.tar")).env("PROGRAMS", &programs).env("IMAGE", "sandrun.test/installer:1");
    node.finish(build).ok();
    node.in_daemon(&["ctr", "-n", "k8s.io", "images", "import", "/run/image.tar"]).ok();
    // In the background, for containerd is restarted meanwhile.
    let contained = |verb: &str| {
        let ctr = |words: &[&str]| node.in_daemon(&[&["ctr", "-n", "k8s.io"], words].concat());
        let log = format!("file:///run/{verb}.log");
        let run = ["run", "--detach", "--privileged", "--read-only", "--log-uri", &log];
        let host =
            ["--mount", "type=bind,src=/,dst=/host,options=rbind:rw", "sandrun.test/installer:1", verb];
        let words = ["/sandrun-node", verb, "--host-root", "/host", "--restart-command", RESTART];
        ctr(&[run.as_slice(), &host, &words].concat()).ok();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ctr(&["task", "ls"]).stdout.contains("STOPPED") {
            assert!(Instant::now() < deadline, "it does not end: {}", node.read(&format!("/run/{verb}.log")));
            std::thread::sleep(Duration::from_millis(100));
        }
        let said = node.read(&format!("/run/{verb}.log"));
        assert_eq!(ctr(&["task", "delete", verb]).code, 0, "{said}");
        said
    };
    let said = contained("install");
    assert!(said.contains("\"sandrun.dev/ready\":\"true\""), "{said}");
    assert!(node.handlers().contains(&"sandrun-strict".to_owned()));
    assert!(contained("uninstall").contains("uninstalled"));
    assert_eq!(node.picture(), before);
}
