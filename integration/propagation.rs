//! On most hosts every mount is shared: what is mounted below a clone of one shows below the other. No mount that
//! a container makes may show on the host.

use serde_json::json;

use crate::support::{Bundle, Runtime, is_root};

/// A mount namespace of its own, in which everything is shared as systemd shares it; says in its last lines
/// what is mounted there under the name of the attack.
const SHARED_HOST: &[&str] = &[
    "unshare",
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    "mount --make-rshared / && \"$@\"; code=$?; grep -c reached-the-host /proc/self/mountinfo; exit $code",
    "sh",
];

/// Mounts over whatever it can, as root with the right to.
const ATTACK: &str = "for place in /sys/fs/cgroup/* /sys/fs/cgroup /dev/null /dev/zero /proc/sys /proc/keys /shared; do \
    if [ -d $place ]; then mount -t tmpfs reached-the-host $place; else mount -o bind /empty-reached-the-host $place; fi; done; \
    echo mounted $(grep -c reached-the-host /proc/self/mountinfo)";

fn attack(script: &str, user_namespace: bool) -> Bundle {
    let bundle = Bundle::shell(script);
    std::fs::write(bundle.rootfs().join("empty-reached-the-host"), "")
        .expect("cannot write into the root filesystem");
    let volume = bundle.path().join("volume");
    std::fs::create_dir(&volume).expect("cannot make a volume");
    bundle
        .mount(json!({ "destination": "/shared", "type": "bind", "source": volume, "options": ["rbind"] }))
        .mount(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] }))
        .edit(|config| {
            let all = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"];
            config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
            config["root"]["readonly"] = json!(false);
            if user_namespace {
                let ids = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
                config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
                config["linux"]["uidMappings"] = ids.clone();
                config["linux"]["gidMappings"] = ids;
            }
        })
}

/// The last two lines: how many mounts the container saw of its attack, and how many the host.
fn counts(runtime: &Runtime, bundle: &Bundle) -> (u32, u32) {
    let output = runtime.run(bundle);
    let said = output.stdout.split_whitespace().rev().take(2).map(|word| word.parse().ok());
    match said.collect::<Option<Vec<u32>>>().as_deref() {
        Some([host, container]) => (*container, *host),
        _ => panic!("{output}"),
    }
}

#[test]
fn a_plain_clone_of_a_shared_mount_does_reach_the_host() {
    skip_unless!(is_root(), "needs root");
    let script = "d=$(mktemp -d) && mount --bind /dev $d && mount -t tmpfs reached-the-host $d/shm; \
        grep -c reached-the-host /proc/self/mountinfo; umount $d/shm; umount $d; rmdir $d";
    let (program, words) = SHARED_HOST.split_first().expect("words");
    let output = std::process::Command::new(program)
        .args(words)
        .args(["sh", "-c", script])
        .output()
        .expect("cannot run unshare");
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(seen.starts_with('2'), "the attack is mounted twice: {seen}");
}

#[test]
fn what_a_container_mounts_stays_inside() {
    skip_unless!(is_root(), "needs root");
    for user_namespace in [false, true] {
        let runtime = Runtime::at_level("oci").wrapped(SHARED_HOST);
        let (container, host) = counts(&runtime, &attack(ATTACK, user_namespace));
        assert!(container >= 8, "the container could mount {container} (user namespace: {user_namespace})");
        assert_eq!(host, 0, "mounts that reached the host (user namespace: {user_namespace})");
    }
}

#[test]
fn a_shared_root_is_shared_inside() {
    skip_unless!(is_root(), "needs root");
    let script = "while read -r _ _ _ _ place rest; do \
        case \"$place $rest\" in '/ '*shared:*) echo yes;; esac; done </proc/self/mountinfo";
    let bundle = Bundle::shell(script).edit(|config| config["linux"]["rootfsPropagation"] = json!("shared"));
    assert_eq!(Runtime::sandrun().run(&bundle).ok().stdout, "yes\n");
}
