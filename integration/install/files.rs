//! What is written on which kind of node.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::node::Node;
use super::{KUBEADM, MAIN, there_and_back};

/// Every form that a main configuration may have.
const MAINS: &[&str] = &[
    KUBEADM,
    "version = 2\n",
    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\n  bin_dir = \"/usr/lib/cni\"",
    "# nothing but a comment\nversion = 2\nimports = []\n",
    "version = 2\nimports = [\n  \"/etc/other/*.toml\", # theirs\n]\r\n",
    "oom_score = -10\n\n[plugins.cri]\n  sandbox_image = \"registry.test/pause:8\"\n",
    "",
];

const MAIN_OF_VERSION_3: &str = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = [\"/x\"]\n\
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n";

fn every_main(series: &str) {
    for main in MAINS {
        there_and_back(&node!(series).with(MAIN, main));
    }
}

#[test]
fn containerd_1_6() {
    every_main("1.6");
}

#[test]
fn containerd_1_7() {
    every_main("1.7");
}

#[test]
fn containerd_2() {
    every_main("2");
    there_and_back(&node!("2").with(MAIN, MAIN_OF_VERSION_3));
}

#[test]
fn without_a_configuration() {
    for series in ["1.6", "1.7", "2"] {
        let node = node!(series);
        there_and_back(&node);
        fs::create_dir(node.path("etc/containerd")).unwrap();
        there_and_back(&node);
    }
}

#[test]
fn with_the_shim_of_runc() {
    for series in ["1.6", "2"] {
        let node = node!(series).with(MAIN, KUBEADM);
        let before = node.picture();
        node.call(&["install", "--via", "runc-shim"]).ok();
        let dump = node.dump();
        let text = toml::to_string(&dump).unwrap();
        for name in ["sandrun", "sandrun-strict", "sandrun-oci"] {
            assert!(text.contains(&format!("BinaryName = \"/usr/local/bin/{name}\"")), "{text}");
            assert!(node.path("local/bin").join(name).exists());
        }
        assert_eq!(text.matches("SystemdCgroup = true").count(), 4, "{text}");
        // From one way to the other and back to nothing.
        node.call(&["install"]).ok();
        assert!(!toml::to_string(&node.dump()).unwrap().contains("BinaryName = \"/usr/local"));
        node.call(&["uninstall"]).ok();
        assert_eq!(node.picture(), before);
    }
}

#[test]
fn the_cgroup_driver_is_the_nodes() {
    for (main, wanted) in [(KUBEADM.to_owned(), "true"), (KUBEADM.replace("true", "false"), "false")] {
        let node = node!("1.6").with(MAIN, &main);
        node.call(&["install"]).ok();
        let options = node.read("/etc/sandrun/handlers/sandrun-strict.toml");
        assert!(options.contains("level = \"strict\""), "{options}");
        assert!(options.contains(&format!("systemd_cgroup = {wanted}")), "{options}");
    }
}

#[test]
fn only_the_handlers_that_are_wanted() {
    let node = node!("2").with(MAIN, KUBEADM);
    node.call(&["install"]).ok();
    node.call(&["install", "--handlers", "sandrun-strict"]).ok();
    assert_eq!(node.handlers(), ["runc", "sandrun-strict"]);
    let unknown = node.call(&["install", "--handlers", "runsc"]);
    assert_eq!(unknown.code, 125);
    assert!(unknown.stderr.contains("expected sandrun, sandrun-strict or sandrun-oci"), "{unknown}");
}

/// 1.x takes a whole plugin section from the file that it reads last.
#[test]
fn another_drop_in_has_the_section() {
    let other = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"registry.test/theirs:1\"\n";
    let main = format!("imports = [\"/etc/containerd/conf.d/*.toml\"]\n{KUBEADM}");
    for series in ["1.6", "1.7", "2"] {
        let node = node!(series).with(MAIN, &main).with("/etc/containerd/conf.d/99-other.toml", other);
        there_and_back(&node);
        node.call(&["install"]).ok();
        let dump = toml::to_string(&node.dump()).unwrap();
        assert!(dump.contains("registry.test/theirs:1"), "{dump}");
        if series == "2" {
            assert_eq!(node.read(MAIN), main, "what it imports already needs no line");
        }
    }
}

#[test]
fn a_newer_containerd_is_installed_over_an_older_one() {
    let old = node!("1.6").with(MAIN, KUBEADM);
    let before = old.picture();
    old.call(&["install"]).ok();
    let new = match old.with_series("2") {
        Ok(new) => new,
        Err(why) => skip!("{why}"),
    };
    new.call(&["install"]).ok();
    assert!(!new.read(MAIN).contains("runtimes.sandrun"), "{}", new.read(MAIN));
    assert!(new.handlers().contains(&"sandrun".to_owned()));
    new.call(&["uninstall"]).ok();
    assert_eq!(new.picture(), before);
}

const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd";

/// Puts containerd where k3s has it.
fn k3s(node: Node, main: &str) -> Node {
    let node = node.with(&format!("{K3S}/config.toml"), main);
    let bin = node.path("var/lib/rancher/k3s/data/current/bin");
    fs::create_dir_all(&bin).unwrap();
    symlink("/usr/bin/containerd", bin.join("containerd")).unwrap();
    node
}

#[test]
fn k3s_with_a_template() {
    let node = k3s(node!("1.7"), KUBEADM);
    let before = node.picture();
    node.call(&["install"]).ok();
    let template = node.read(&format!("{K3S}/config.toml.tmpl"));
    assert!(template.contains("{{ template \"base\" . }}\n"), "{template}");
    assert_eq!(node.read(&format!("{K3S}/config.toml")), KUBEADM, "k3s writes it itself");
    // As k3s renders it at its next start; the second run sees that.
    let rendered = template.replace("{{ template \"base\" . }}\n", KUBEADM);
    node.write(&format!("{K3S}/config.toml"), &rendered);
    let installed = node.picture();
    assert!(!node.call(&["install"]).ok().stdout.contains("write"));
    assert_eq!(node.picture(), installed);
    node.call(&["uninstall"]).ok();
    node.write(&format!("{K3S}/config.toml"), KUBEADM);
    assert_eq!(node.picture(), before);
    // A template of the administrator's is kept, and only added to.
    let theirs = "{{ template \"base\" . }}\n# mine\n";
    node.write(&format!("{K3S}/config.toml.tmpl"), theirs);
    node.call(&["install"]).ok();
    assert!(node.read(&format!("{K3S}/config.toml.tmpl")).starts_with(theirs));
    node.call(&["uninstall"]).ok();
    assert_eq!(node.read(&format!("{K3S}/config.toml.tmpl")), theirs);
}

#[test]
fn k3s_that_imports_a_directory() {
    let main = format!("version = 3\nimports = [\"{K3S}/config-v3.toml.d/*.toml\"]\n");
    let node = k3s(node!("2"), &main);
    let before = node.picture();
    node.call(&["install"]).ok();
    assert_eq!(node.read(&format!("{K3S}/config.toml")), main);
    assert!(node.read(&format!("{K3S}/config-v3.toml.d/sandrun.toml")).contains("runtimes.sandrun-strict"));
    let config = format!("{K3S}/config.toml");
    let dump = node.chrooted(&["containerd", "--config", &config, "config", "dump"]).ok().stdout;
    assert!(dump.contains("runtimes.sandrun-strict"), "{dump}");
    node.call(&["uninstall"]).ok();
    assert_eq!(node.picture(), before);
}

#[test]
fn k0s_merges_by_itself() {
    let node = node!("1.7").with("/etc/k0s/containerd.toml", "# k0s_managed=true\nversion = 2\n");
    node.write("/run/k0s/containerd-cri.toml", KUBEADM);
    fs::create_dir_all(node.path("var/lib/k0s/bin")).unwrap();
    symlink("/usr/bin/containerd", node.path("var/lib/k0s/bin/containerd")).unwrap();
    let before = node.picture();
    node.call(&["install"]).ok();
    let ours = node.read("/etc/k0s/containerd.d/sandrun.toml");
    assert!(ours.contains("version = 2") && ours.contains("runtimes.sandrun-strict"), "{ours}");
    node.call(&["uninstall"]).ok();
    fs::remove_dir(node.path("etc/k0s/containerd.d")).ok();
    assert_eq!(node.picture(), before);
}

/// The link stays, and what it leads to keeps owner and permissions.
#[test]
fn a_configuration_behind_a_link() {
    let node = node!("1.6").with("/etc/real/main.toml", KUBEADM);
    fs::create_dir(node.path("etc/containerd")).unwrap();
    symlink("/etc/real/main.toml", node.path(MAIN)).unwrap();
    let real = node.path("etc/real/main.toml");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    chown(&real, Some(7), Some(7)).unwrap();
    there_and_back(&node);
    node.call(&["install"]).ok();
    assert!(node.path(MAIN).is_symlink());
    let metadata = fs::metadata(&real).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    assert!(node.read("/etc/real/main.toml").contains("runtimes.sandrun"));
}

/// Programs that were there before stay, and older ones of ours are replaced, by a file of their own.
#[test]
fn programs_that_are_there_already() {
    let node = node!("2").with(MAIN, KUBEADM);
    for program in ["sandrun", "containerd-shim-sandrun-v2"] {
        fs::copy(super::node::programs().join(program), node.path("local/bin").join(program)).unwrap();
    }
    there_and_back(&node);
    assert!(node.path("local/bin/sandrun").exists());
    let node = node!("2").with(MAIN, KUBEADM);
    node.call(&["install"]).ok();
    let shim = node.path("local/bin/containerd-shim-sandrun-v2");
    fs::write(&shim, "older").unwrap();
    let held = fs::File::open(&shim).unwrap();
    let said = node.call(&["install"]).ok().stdout;
    assert!(said.contains("write    /usr/local/bin/containerd-shim-sandrun-v2"), "{said}");
    assert_eq!(std::io::read_to_string(held).unwrap(), "older", "who runs it keeps it");
}
