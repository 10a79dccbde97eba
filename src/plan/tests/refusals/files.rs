//! Of the root filesystem, mounts, devices and cgroups.

use super::*;

#[test]
fn the_root_filesystem() {
    let missing = |config: Value| refused_by(&root(v2(), 7), Level::Oci, &config);
    for config in
        [without(good(), "/root"), without(good(), "/root/path"), with(good(), "/root/path", json!(""))]
    {
        let error = missing(config);
        assert_eq!((error.at.as_deref(), error.kind), (Some("root.path"), Invalid));
    }
    check([
        (
            "/linux/rootfsPropagation",
            json!("both"),
            "linux.rootfsPropagation",
            Invalid,
            "unknown propagation \"both\"",
        ),
        (
            "/linux/maskedPaths",
            json!(["/proc/kcore", "proc/../keys"]),
            "linux.maskedPaths[1]",
            Invalid,
            "not absolute and plain",
        ),
        (
            "/linux/readonlyPaths",
            json!(["/proc/../etc"]),
            "linux.readonlyPaths[0]",
            Invalid,
            "not absolute and plain",
        ),
    ]);
}

fn mount(destination: &str, fstype: &str, options: &[&str]) -> Value {
    json!([{ "destination": destination, "type": fstype, "source": "/src", "options": options }])
}

#[test]
fn mounts() {
    let long = format!("upperdir={}", "x".repeat(256));
    check([
        ("/mounts", mount("/a/../../etc", "tmpfs", &[]), "mounts[0].destination", Invalid, "contains \"..\""),
        ("/mounts", mount("", "tmpfs", &[]), "mounts[0].destination", Invalid, "it is empty"),
        ("/mounts", mount("/a\0b", "tmpfs", &[]), "mounts[0].destination", Invalid, "NUL byte"),
        ("/mounts", mount("/a", "", &[]), "mounts[0].type", Invalid, "without a type"),
        ("/mounts", mount("/a", "none", &["rshared"]), "mounts[0].type", Invalid, "without a type"),
        (
            "/mounts",
            json!([{ "destination": "/a", "type": "bind" }]),
            "mounts[0].source",
            Invalid,
            "without a source",
        ),
        (
            "/mounts",
            json!([{ "destination": "/a", "options": ["rbind"] }]),
            "mounts[0].source",
            Invalid,
            "without a source",
        ),
        (
            "/mounts",
            mount("/a", "", &["bind", "readonly"]),
            "mounts[0].options",
            Invalid,
            "\"readonly\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "bind", &["tmpcopyup"]),
            "mounts[0].options",
            Invalid,
            "\"tmpcopyup\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "devpts", &["tmpcopyup"]),
            "mounts[0].options",
            Invalid,
            "\"tmpcopyup\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "tmpfs", &["src-nofollow"]),
            "mounts[0].options",
            Invalid,
            "\"src-nofollow\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "cgroup", &["nsdelegate"]),
            "mounts[0].options",
            Invalid,
            "\"nsdelegate\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "", &["bind", "remount", "size=1m"]),
            "mounts[0].options",
            Invalid,
            "\"size\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "", &["remount", "tmpcopyup"]),
            "mounts[0].options",
            Invalid,
            "\"tmpcopyup\" has no effect",
        ),
        (
            "/mounts",
            mount("/a", "bind", &["copy-symlink", "src-nofollow"]),
            "mounts[0].options",
            Invalid,
            "copy-symlink together with",
        ),
        (
            "/mounts",
            mount("/a", "bind", &["rdefaults"]),
            "mounts[0].options",
            Invalid,
            "\"rdefaults\" has no",
        ),
        (
            "/mounts",
            mount("/proc/sys", "tmpfs", &[]),
            "mounts[0].destination",
            Invalid,
            "a new tmpfs on /proc/sys",
        ),
        (
            "/mounts",
            mount("/proc/self", "proc", &[]),
            "mounts[0].destination",
            Invalid,
            "a new proc on /proc/self",
        ),
        (
            "/mounts",
            mount("/a", "overlay", &["ro", &long]),
            "mounts[0].options",
            Unsupported,
            "longer than 255 bytes",
        ),
    ]);
}

#[test]
fn idmapped_mounts() {
    let mapped = |fstype: &str, options: Value, more: Value| {
        let mut mount = json!({ "destination": "/a", "type": fstype, "source": "/src", "options": options });
        mount.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([mount])
    };
    let uids = json!({ "uidMappings": [{ "containerID": 0, "hostID": 1, "size": 1 }] });
    let rows = [
        (mapped("cgroup", json!(["idmap"]), json!({})), Unsupported, "cannot be idmapped"),
        (mapped("bind", json!(["remount", "idmap"]), json!({})), Unsupported, "cannot be idmapped"),
        (mapped("tmpfs", json!(["idmap"]), json!({})), Invalid, "without mappings"),
        (mapped("bind", json!(["ridmap"]), json!({})), Invalid, "without mappings"),
        (mapped("bind", json!([]), uids), Invalid, "needs both uidMappings and gidMappings"),
    ];
    check(rows.map(|(mounts, kind, words)| ("/mounts", mounts, "mounts[0]", kind, words)));
}

#[test]
fn devices() {
    let device = |path: &str, typ: &str, major: i64| json!([{ "path": path, "type": typ, "major": major, "minor": 1 }]);
    let at = "/linux/devices";
    check([
        (at, device("/dev/x", "a", 1), "linux.devices[0].type", Invalid, "cannot be of type a"),
        (at, device("/dev/x", "c", -1), "linux.devices[0].major", Invalid, "is not a device number"),
        (at, device("/dev/x", "b", 1 << 32), "linux.devices[0].major", Invalid, "is not a device number"),
        (at, device("dev/x", "c", 1), "linux.devices[0].path", Invalid, "not absolute and plain"),
        (at, device("/dev/../x", "c", 1), "linux.devices[0].path", Invalid, "not absolute and plain"),
        (at, device("/", "c", 1), "linux.devices[0].path", Invalid, "not absolute and plain"),
        (at, device("/dev/\0", "c", 1), "linux.devices[0].path", Invalid, "not absolute and plain"),
    ]);
}

#[test]
fn cgroups() {
    check([
        ("/linux/cgroupsPath", json!("/a/../../b"), "linux.cgroupsPath", Invalid, "component \"..\""),
        (
            "/linux/resources",
            json!({ "memory": { "limit": -2 } }),
            "linux.resources.memory.limit",
            Invalid,
            "neither a size",
        ),
    ]);
    let config = with(good(), "/linux/resources", json!({ "unified": { "memory.high": "1" } }));
    let error = refused_by(&root(hybrid(), 7), Level::Oci, &config);
    assert_eq!((error.at.as_deref(), error.kind), (Some("linux.resources.unified"), Unsupported));
}
