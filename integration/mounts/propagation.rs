//! `linux.rootfsPropagation` and the propagation of mounts.

use serde_json::{Value, json};

use super::volume;
use crate::support::{Bundle, Runtime, is_root};

/// A mount namespace of the host's in which everything is shared. When the container has ended it says what was
/// mounted in the volume `$0` meanwhile.
const SHARED_HOST: &[&str] = &[
    "unshare",
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    "mount --bind \"$0\" \"$0\" && mount --make-rshared / && \"$@\"; code=$?; \
        echo outside $(grep -c made-inside /proc/self/mountinfo); exit $code",
];

fn on_shared_host(bundle: &Bundle) -> Runtime {
    let place = bundle.path().display().to_string();
    let words: Vec<&str> = SHARED_HOST.iter().copied().chain([place.as_str()]).collect();
    Runtime::at_level("oci").wrapped(&words)
}

fn may_mount(config: &mut Value) {
    let all = ["CAP_SYS_ADMIN"];
    config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
}

/// The optional fields of the root's line in mountinfo, without numbers.
fn root_and_below(propagation: &str) -> (String, String) {
    let script = "awk '$5 == \"/\" || $5 == \"/data\" { print $5, $7 }' /proc/self/mountinfo";
    let bundle = Bundle::shell(script);
    let bundle = bundle
        .mount(super::tmpfs("/data", &[]))
        .edit(|config| config["linux"]["rootfsPropagation"] = json!(propagation));
    let said = on_shared_host(&bundle).run(&bundle).ok().stdout;
    let of = |place: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(place)).unwrap_or_else(|| panic!("{said}"));
        line.split(':').next().unwrap_or_default().to_owned()
    };
    (of("/ "), of("/data "))
}

#[test]
fn the_root_propagates_as_asked() {
    skip_unless!(is_root(), "needs root");
    for (asked, root, below) in [
        ("shared", "shared", "-"),
        ("rshared", "shared", "shared"),
        ("slave", "master", "-"),
        ("rslave", "master", "-"),
        ("private", "-", "-"),
        ("rprivate", "-", "-"),
        ("unbindable", "unbindable", "-"),
        ("runbindable", "unbindable", "unbindable"),
    ] {
        assert_eq!(root_and_below(asked), (root.to_owned(), below.to_owned()), "{asked}");
    }
}

#[test]
fn a_shared_root_shows_its_mounts_to_who_cloned_the_namespace() {
    skip_unless!(is_root(), "needs root");
    let seen = |propagation: &str| {
        let script = "mkdir -p /m; unshare -m --propagation slave sh -c \
            'while [ ! -e /mounted ]; do sleep 0.1; done; grep -c made-inside /proc/self/mountinfo' & \
            sleep 0.5; mount -t tmpfs made-inside /m; touch /mounted; wait";
        let bundle = Bundle::shell(script).edit(may_mount);
        let bundle = bundle.edit(|config| config["linux"]["rootfsPropagation"] = json!(propagation));
        Runtime::at_level("oci").run(&bundle).ok().stdout
    };
    assert_eq!(seen("shared"), "1\n");
    assert_eq!(seen("private"), "0\n");
}

#[test]
fn only_a_shared_volume_carries_mounts_outside() {
    skip_unless!(is_root(), "needs root");
    for (option, outside) in
        [("rshared", "1"), ("shared", "1"), ("rslave", "0"), ("rprivate", "0"), ("", "0")]
    {
        let bundle =
            Bundle::shell("mkdir -p /volume/m && mount -t tmpfs made-inside /volume/m && echo mounted");
        let source = volume(&bundle, "volume", &[]);
        let options: Vec<&str> = ["rbind", option].into_iter().filter(|option| !option.is_empty()).collect();
        let bundle = bundle.edit(may_mount).mount(json!({
            "destination": "/volume", "type": "bind", "source": source, "options": options
        }));
        let said = on_shared_host(&bundle).run(&bundle).ok().stdout;
        assert_eq!(said, format!("mounted\noutside {outside}\n"), "{option:?}");
    }
}
