//! `config.json` as a file: versions, wrong types, fields nobody knows, size.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::error::Kind;

/// A directory of the test's own, removed whatever happens.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sandrun-plan-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // The test may have failed before it wrote anything.
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn error(text: &str) -> crate::error::Error {
    oci::parse(text).err().unwrap_or_else(|| panic!("accepted: {text}"))
}

#[test]
fn every_version_1_is_read() {
    for version in ["1.0.0", "1.0.2-dev", "1.0.2", "1.1.0", "1.1.0+dev", "1.2.1", "1.3.0", "1.4.0"] {
        let config = with(good(), "/ociVersion", json!(version));
        assert!(oci::parse(&config.to_string()).is_ok(), "{version}");
    }
}

#[test]
fn other_versions_are_refused() {
    let with_version = |version: Value| error(&with(good(), "/ociVersion", version).to_string());
    for (version, why) in [
        (json!("2.0.0"), "2.0.0 is not version 1"),
        (json!("0.9.0"), "0.9.0 is not version 1"),
        (json!("abc"), "\"abc\" is not a version number"),
        (json!("1.0"), "\"1.0\" is not a version number"),
        (json!(""), "\"\" is not a version number"),
        (json!(1), "it is missing"),
        (json!(null), "it is missing"),
    ] {
        let error = with_version(version);
        assert_eq!((error.kind, error.at.as_deref()), (Kind::Invalid, Some("ociVersion")));
        assert_eq!(error.why, why);
    }
    let error = error(&without(good(), "/ociVersion").to_string());
    assert_eq!((error.at.as_deref(), error.why.as_str()), (Some("ociVersion"), "it is missing"));
    assert!(error.fix.is_some());
}

#[test]
fn a_process_limit_of_0_counts_from_version_1_3_on() {
    let config = with(good(), "/linux/resources", json!({ "pids": { "limit": 0 } }));
    let limit = |version: &str| {
        let config = with(config.clone(), "/ociVersion", json!(version));
        oci::parse(&config.to_string()).unwrap().pids_limit
    };
    assert_eq!((limit("1.2.1"), limit("1.3.0")), (None, Some(0)));
}

#[test]
fn a_wrong_type_is_named_with_its_path() {
    for (pointer, value, at) in [
        ("/process/user", json!({ "uid": "root" }), "process.user.uid"),
        ("/process/args", json!("true"), "process.args"),
        ("/process/args", json!(["sh", 1]), "process.args[1]"),
        ("/process/terminal", json!("yes"), "process.terminal"),
        (
            "/process/rlimits",
            json!([{ "type": "RLIMIT_FILES", "soft": 1, "hard": 1 }]),
            "process.rlimits[0].type",
        ),
        ("/mounts", json!({}), "mounts"),
        ("/mounts", json!([{ "source": "x" }]), "mounts[0]"),
        ("/mounts", json!([{ "destination": "/a" }, { "destination": 7 }]), "mounts[1].destination"),
        ("/root/readonly", json!(1), "root.readonly"),
        ("/linux/namespaces", json!([{ "type": "mount" }, { "type": "ghost" }]), "linux.namespaces[1].type"),
        ("/linux/resources", json!({ "memory": { "limit": "1G" } }), "linux.resources.memory.limit"),
        ("/linux/sysctl", json!({ "net.x": 1 }), "linux.sysctl.net.x"),
        ("/linux/seccomp", json!({ "defaultAction": "ALLOW" }), "linux.seccomp.defaultAction"),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"] }),
            "linux.seccomp.flags[0]",
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"] }),
            "linux.seccomp.architectures[0]",
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ASK" }] }),
            "linux.seccomp.syscalls[0].action",
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_LOG",
                "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_LIKE" }] }] }),
            "linux.seccomp.syscalls[0].args[0].op",
        ),
        ("/linux/devices", json!([{ "path": "/dev/x", "type": "z" }]), "linux.devices[0].type"),
        ("/annotations", json!({ "a": 1 }), "annotations.a"),
    ] {
        let error = error(&with(good(), pointer, value).to_string());
        assert_eq!((error.kind, error.at.as_deref()), (Kind::Invalid, Some(at)), "{error}");
    }
}

#[test]
fn what_nobody_knows_is_listed_in_the_plan() {
    let mut config = good();
    config["processes"] = json!({});
    config["process"]["noNewPriviliges"] = json!(true);
    config["mounts"] = json!([{ "destination": "/a", "type": "tmpfs", "source": "a", "flags": [] }]);
    config["uidMappings"] = json!([]);
    for platform in ["vm", "windows", "solaris", "zos", "freebsd"] {
        config[platform] = json!({ "anything": 1 });
    }
    config["process"]["commandLine"] = json!("cmd");
    config["process"]["user"] = json!({ "username": "root", "home": "/" });
    config["process"]["capabilities"] = json!({ "bounding": ["CAP_CHOWN", "CAP_FLY"], "permitted": ["FLY"] });
    config["linux"]["resources"] = json!({ "memory": { "limits": 1 } });
    config["annotations"] = json!({ "com.example/x": "y" });
    let plan = plan(&config.to_string(), Level::Oci, &root(v2(), 7)).unwrap();
    let mut listed: Vec<_> = plan.changes.iter().map(|change| change.at.as_str()).collect();
    listed.sort_unstable();
    assert_eq!(
        listed,
        [
            "freebsd",
            "linux.resources.memory.limits",
            "mounts[0].flags",
            "process.capabilities.bounding: CAP_FLY",
            "process.capabilities.permitted: FLY",
            "process.commandLine",
            "process.noNewPriviliges",
            "process.user.home",
            "process.user.username",
            "processes",
            "solaris",
            "uidMappings",
            "vm",
            "windows",
            "zos",
        ]
    );
    assert_eq!(plan.workload.capabilities.bounding, 1);
}

#[test]
fn a_misspelt_wish_to_sandrun_is_refused() {
    let mut config = good();
    config["annotations"] = json!({ "dev.sandrun.levl": "strict" });
    for level in [Level::Oci, Level::Baseline, Level::Strict] {
        let error = plan(&config.to_string(), level, &root(v2(), 7)).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        let text = error.to_string();
        assert!(
            text.starts_with(
                "annotation dev.sandrun.levl is not one of sandrun's: annotations[\"dev.sandrun.levl\"]"
            ),
            "{text}"
        );
        assert!(text.contains("dev.sandrun.level, "), "{text}");
    }
}

#[test]
fn what_the_typed_form_rejects_and_the_specification_allows_is_read() {
    for (pointer, value) in [
        ("/process/scheduler", json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"] })),
        ("/process/scheduler", json!({ "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_DL_OVERRUN"] })),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": null, "action": "SCMP_ACT_ERRNO" }] }),
        ),
        ("/process/capabilities", json!({ "bounding": ["CAP_OF_A_LATER_KERNEL"] })),
        ("/process/execCPUAffinity", json!({ "initial": "", "final": " 0-1, 3 " })),
        ("/vm", json!({ "kernel": "of another type" })),
    ] {
        let config = with(good(), pointer, value).to_string();
        assert!(oci::parse(&config).is_ok(), "{:?}", oci::parse(&config).err());
    }
}

#[test]
fn a_bundle_without_a_configuration_is_told_apart_from_a_broken_one() {
    let bundle = Bundle::new("broken");
    let missing = oci::load(&bundle.0).err().unwrap();
    assert_eq!(missing.kind, Kind::NotFound);
    assert!(missing.fix.is_some_and(|fix| fix.contains("--bundle")));
    fs::write(bundle.config(), "{\"ociVersion\": ").unwrap();
    let broken = oci::load(&bundle.0).err().unwrap();
    assert_eq!(broken.kind, Kind::Invalid);
    assert!(broken.what.contains("config.json") && broken.why.contains("line 1"), "{broken}");
}

#[test]
fn a_file_beyond_16_mib_is_refused() {
    let bundle = Bundle::new("large");
    let mut text = good().to_string();
    text.push_str(&" ".repeat((16 << 20) - text.len()));
    fs::write(bundle.config(), &text).unwrap();
    assert!(oci::load(&bundle.0).is_ok(), "exactly 16 MiB");
    text.push(' ');
    fs::write(bundle.config(), &text).unwrap();
    let error = oci::load(&bundle.0).err().unwrap();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.why.contains("larger than 16777216 bytes"), "{error}");
}

#[test]
fn the_process_of_an_exec_is_read_alike() {
    let bundle = Bundle::new("process");
    let file = bundle.0.join("process.json");
    fs::write(
        &file,
        json!({ "args": ["id"], "cwd": "/", "capabilities": { "bounding": ["CAP_FLY"] }, "arg": 1 })
            .to_string(),
    )
    .unwrap();
    let oci::ExecProcess { typed: process, unknown, .. } = oci::load_process(&file).unwrap();
    assert_eq!(process.args().as_deref(), Some(&["id".to_owned()][..]));
    assert_eq!(unknown, ["process.capabilities.bounding: CAP_FLY", "process.arg"]);
    fs::write(&file, json!({ "args": ["id"], "cwd": "/", "user": { "gid": -1 } }).to_string()).unwrap();
    assert_eq!(oci::load_process(&file).unwrap_err().at.as_deref(), Some("process.user.gid"));
}

#[test]
fn the_resources_of_an_update_are_read_alike() {
    let read = |value: serde_json::Value| oci::resources(value);
    let resources = read(json!({
        "pids": {}, "cpu": { "quota": -1 }, "speed": 3,
        "hugepageLimits": [{ "pageSize": "2MB", "limit": u64::MAX }],
    }))
    .expect("what the specification allows");
    assert_eq!((resources.pids_limit, resources.unknown), (None, vec!["linux.resources.speed".to_owned()]));
    let limit = resources.typed.hugepage_limits().as_ref().map(|limits| limits[0].limit());
    assert_eq!(limit, Some(i64::MAX), "no limit");
    for (limit, read_as) in [(0, None), (-1, Some(-1)), (7, Some(7))] {
        let resources = read(json!({ "pids": { "limit": limit } })).expect("a limit");
        assert_eq!(resources.pids_limit, read_as);
    }
    let error = read(json!({ "memory": { "limit": "much" } })).expect_err("no number");
    assert!(
        error.to_string().starts_with("cannot use the resources: linux.resources.memory.limit: "),
        "{error}"
    );
}

#[test]
fn no_limit_on_huge_pages_may_be_the_largest_number() {
    let limits = json!([{ "pageSize": "2MB", "limit": u64::MAX }]);
    let config = with(good(), "/linux/resources", json!({ "pids": {}, "hugepageLimits": limits }));
    let config = oci::parse(&config.to_string()).expect("what the specification allows");
    assert_eq!(config.pids_limit, None);
}
