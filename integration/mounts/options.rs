//! What each option of the specification's table does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{refusal, say, tmpfs, volume};
use crate::support::{Bundle, Runtime, is_root};

/// Every option that changes a mount or its filesystem, and those that change nothing.
const OPTIONS: &[&str] = &[
    "async",
    "atime",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "relatime",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "unbindable",
];

/// Those that not every runc knows.
const NOT_RUNC: &[&str] = &["defaults", "lazytime", "nolazytime", "nosymfollow", "symfollow"];

/// Of contrary options the last one counts, but for crun.
const LATER_WINS: &str = "/o/later-wins";

/// Those that not every crun knows, or makes of a new filesystem.
const NOT_CRUN: &[&str] = &[
    "iversion",
    "noiversion",
    "lazytime",
    "nolazytime",
    "loud",
    "silent",
    "nosymfollow",
    "symfollow",
    "shared",
    "rshared",
    "runbindable",
    "unbindable",
    LATER_WINS,
];

/// Recursive attributes.
const RECURSIVE: &[&str] = &[
    "ratime",
    "rdev",
    "rdiratime",
    "rexec",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "rrelatime",
    "rro",
    "rrw",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
];

/// A mount namespace in which `/` is private, with a tree of two mounts at the place that `$TREE` names.
const TREE: &[&str] = &[
    "unshare",
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    "mount -t tmpfs top \"$0\" && mkdir \"$0/below\" && mount -t tmpfs -o nodev below \"$0/below\" && exec \"$@\"",
];

/// By destination: options, options of the filesystem, and whether it is shared, a slave, unbindable.
fn seen(report: &Value, below: &str) -> BTreeMap<String, String> {
    let words = |value: &Value| -> Vec<String> {
        let mut words: Vec<String> =
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        words.sort();
        words
    };
    let mounts = report.as_array().expect("a list").iter();
    let wanted =
        mounts.filter(|mount| mount["destination"].as_str().is_some_and(|place| place.starts_with(below)));
    wanted
        .map(|mount| {
            // runc makes a tmpfs read-only as a whole, which shows the same from inside.
            let own: Vec<_> = words(&mount["superOptions"])
                .into_iter()
                .filter(|word| word != "ro" && word != "rw")
                .collect();
            let kinds = words(&mount["propagation"]);
            let kinds: Vec<_> = kinds.iter().filter_map(|kind| kind.split(':').next()).collect();
            let place = mount["destination"].as_str().unwrap_or_default().to_owned();
            (place, format!("{:?} {own:?} {kinds:?}", words(&mount["options"])))
        })
        .collect()
}

#[test]
fn of_a_new_filesystem_as_under_runc_and_crun() {
    skip_unless!(is_root(), "needs root");
    let bundle = |left_out: &[&str]| {
        let options = OPTIONS.iter().filter(|option| !left_out.contains(option));
        let bundle = options.fold(Bundle::probe(&["mounts"]), |bundle, option| {
            bundle.mount(tmpfs(&format!("/o/{option}"), &["size=64k", "nr_inodes=16", "mode=711", option]))
        });
        match left_out.contains(&LATER_WINS) {
            true => bundle,
            false => bundle.mount(tmpfs(LATER_WINS, &["ro", "nosuid", "rw", "suid"])),
        }
    };
    let ours = seen(&Runtime::at_level("oci").ask(&bundle(&[])), "/o/");
    for word in ["nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"] {
        assert!(ours[&format!("/o/{word}")].contains(&format!("{word:?}")), "{word}: {ours:#?}");
    }
    for (runtime, left_out) in [("runc", NOT_RUNC), ("crun", NOT_CRUN)] {
        let Some(peer) = Runtime::peer(runtime) else { skip!("needs {runtime} to compare with") };
        let theirs = seen(&peer.ask(&bundle(left_out)), "/o/");
        assert!(theirs.len() + left_out.len() > OPTIONS.len(), "{theirs:#?}");
        for (place, what) in theirs {
            assert_eq!(ours[&place], what, "{place} under {runtime}");
        }
    }
}

#[test]
fn recursive_ones_reach_every_mount_below_as_under_runc_and_crun() {
    skip_unless!(is_root(), "needs root");
    let run = |runtime: Runtime, options: &[&str]| {
        let bundle = Bundle::probe(&["mounts"]);
        let tree = volume(&bundle, "tree", &[]).display().to_string();
        let bundle = options.iter().fold(bundle, |bundle, option| {
            bundle.mount(json!({
                "destination": format!("/o/{option}"), "type": "bind", "source": tree, "options": ["rbind", option]
            }))
        });
        let words: Vec<&str> = TREE.iter().copied().chain([tree.as_str()]).collect();
        seen(&runtime.wrapped(&words).ask(&bundle), "/o/")
    };
    let ours = run(Runtime::at_level("oci"), RECURSIVE);
    assert_eq!(ours.len(), 2 * RECURSIVE.len(), "{ours:#?}");
    for (option, word) in
        [("rro", "ro"), ("rnosuid", "nosuid"), ("rnoexec", "noexec"), ("rnoatime", "noatime")]
    {
        let below = &ours[&format!("/o/{option}/below")];
        assert!(below.contains(&format!("{word:?}")), "{option}: {below}");
    }
    assert!(!ours["/o/rdev/below"].contains("nodev"), "{ours:#?}");
    assert!(ours["/o/rro/below"].contains("nodev"), "{ours:#?}");
    let Some(runc) = Runtime::peer("runc") else { skip!("needs runc to compare with") };
    // Of access times not every runc clears the whole field, as the kernel wants it.
    let without_times: Vec<&str> = RECURSIVE
        .iter()
        .copied()
        .filter(|option| !option.ends_with("atime") && !option.ends_with("symfollow"))
        .collect();
    for (place, what) in run(runc, &without_times) {
        assert_eq!(ours[&place], what, "{place} under runc");
    }
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_hides_and_its_files_if_asked() {
    skip_unless!(is_root(), "needs root");
    let bundle = || {
        let script = "stat -c '%a' /kept /given /copied /copied/inner; cat /copied/inner/file; readlink /copied/link; \
            stat -c '%u:%g' /copied/inner/file; ls /kept";
        let bundle = Bundle::shell(script);
        for (dir, mode) in [("kept", 0o1750), ("given", 0o700), ("copied", 0o711), ("copied/inner", 0o2770)] {
            let path = bundle.rootfs().join(dir);
            std::fs::create_dir(&path).expect("cannot make a directory");
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))
                .expect("chmod");
        }
        std::fs::write(bundle.rootfs().join("kept/hidden"), "").expect("cannot write");
        let file = bundle.rootfs().join("copied/inner/file");
        std::fs::write(&file, "copied\n").expect("cannot write");
        std::os::unix::fs::chown(&file, Some(7), Some(8)).expect("chown");
        std::os::unix::fs::symlink("inner/file", bundle.rootfs().join("copied/link")).expect("cannot link");
        bundle
            .mount(tmpfs("/kept", &["size=64k"]))
            .mount(tmpfs("/given", &["mode=1777"]))
            .mount(tmpfs("/copied", &["tmpcopyup", "size=64k"]))
    };
    assert_eq!(say(&bundle()), "1750\n1777\n711\n2770\ncopied\ninner/file\n7:8\n");
    let Some(runc) = Runtime::peer("runc") else { skip!("needs runc to compare with") };
    assert!(runc.run(&bundle()).stdout.starts_with("1750\n"), "runc does it otherwise");
}

#[test]
fn options_are_changed_by_a_remount() {
    skip_unless!(is_root(), "needs root");
    let bundle = Bundle::probe(&["mounts"])
        .mount(tmpfs("/o/one", &["size=64k", "nosuid"]))
        .mount(json!({ "destination": "/o/one", "type": "tmpfs", "options": ["remount", "size=128k", "noexec", "rw"] }))
        .mount(json!({ "destination": "/o/one", "type": "none", "options": ["bind", "remount", "ro", "shared"] }));
    let ours = seen(&Runtime::at_level("oci").ask(&bundle), "/o/");
    let one = &ours["/o/one"];
    for word in ["\"ro\"", "nosuid", "noexec", "size=128k", "shared"] {
        assert!(one.contains(word), "{word}: {one}");
    }
}

#[test]
fn an_overlay_takes_more_layers_than_fit_one_option() {
    skip_unless!(is_root(), "needs root");
    let bundle =
        Bundle::shell("cat /merged/name-0 /merged/name-11; echo changed > /merged/new; cat /merged/new");
    let dirs: Vec<String> = (0..12)
        .map(|i| {
            let file = format!("name-{i}");
            volume(&bundle, &format!("a-layer-with-a-rather-long-name-{i}"), &[&file]).display().to_string()
        })
        .collect();
    let upper = volume(&bundle, "work/upper", &[]).display().to_string();
    let work = volume(&bundle, "work/work", &[]).display().to_string();
    let lower = dirs.join(":");
    assert!(lower.len() > 600, "{lower}");
    // The layers are on a tmpfs, as an overlay of overlays is not possible everywhere.
    let options = [format!("lowerdir={lower}"), format!("upperdir={upper}"), format!("workdir={work}")];
    let overlay =
        json!({ "destination": "/merged", "type": "overlay", "source": "overlay", "options": options });
    let output = Runtime::at_level("oci").run(&bundle.mount(overlay));
    skip_unless!(!output.stderr.contains("6.7"), "needs Linux 6.7: {}", output.stderr.trim());
    assert_eq!(output.ok().stdout, "name-0name-11changed\n");
}

#[test]
fn what_cannot_be_is_refused_with_its_field() {
    skip_unless!(is_root(), "needs root");
    let missing =
        json!({ "destination": "/m", "type": "bind", "source": "/is/not/there", "options": ["bind"] });
    let said = refusal(&Bundle::probe(&["mounts"]).mount(missing));
    for words in ["mounts[7].source", "/is/not/there", "make it first"] {
        assert!(said.contains(words), "{said}");
    }
    let said = refusal(&Bundle::probe(&["mounts"]).mount(tmpfs("/m", &["size=1k", "sise=2k"])));
    for words in ["mounts[7]", "sise"] {
        assert!(said.contains(words), "{said}");
    }
    let labelled = Bundle::probe(&["mounts"])
        .edit(|config| config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0"));
    skip_unless!(!std::path::Path::new("/sys/fs/selinux/enforce").exists(), "SELinux is enabled");
    let said = refusal(&labelled);
    assert!(said.contains("linux.mountLabel") && said.contains("SELinux"), "{said}");
}
