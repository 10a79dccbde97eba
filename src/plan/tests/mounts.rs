//! What options, labels and ids of mounts come to, and who maps the container's.

use super::fields::{changed, planned};
use super::*;
use crate::plan::mounts::Source;
use crate::plan::namespaces::Mapper;

fn mount(fstype: &str, options: &[&str]) -> Value {
    json!([{ "destination": "/m", "type": fstype, "source": "/src", "options": options }])
}

fn filesystem_options(plan: &mut Plan) -> Vec<String> {
    match plan.mounts.remove(0).source {
        Source::Filesystem { options, .. } | Source::Remount { options } => options
            .into_iter()
            .map(|(key, value)| value.map_or(key.clone(), |value| format!("{key}={value}")))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mount_label_goes_to_what_has_none_of_its_own() {
    let host = Host { selinux: true, ..root(v2(), 7) };
    let options = |fstype: &str, options: &[&str]| {
        let config = with(
            with(good(), "/mounts", mount(fstype, options)),
            "/linux/mountLabel",
            json!("u:r:t:s0:c1,c2"),
        );
        let mut plan = planned(&config, Level::Oci, &host);
        assert_eq!(plan.mount_label.as_deref(), Some("u:r:t:s0:c1,c2"));
        filesystem_options(&mut plan)
    };
    assert_eq!(options("tmpfs", &["size=1m"]), ["size=1m", "context=u:r:t:s0:c1,c2"]);
    assert_eq!(options("tmpfs", &["context=mine"]), ["context=mine"]);
    for fstype in ["proc", "sysfs", "mqueue"] {
        assert_eq!(options(fstype, &[]), [""; 0], "{fstype}");
    }
}

#[test]
fn options_go_to_the_filesystem_as_the_kernel_takes_them() {
    let options = |fstype: &str, options: &[&str]| {
        let config = with(good(), "/mounts", mount(fstype, options));
        filesystem_options(&mut planned(&config, Level::Oci, &root(v2(), 7)))
    };
    assert_eq!(options("ext4", &["ro", "sync", "iversion", "data=ordered"]), ["sync", "ro", "data=ordered"]);
    assert_eq!(options("tmpfs", &["remount", "size=1m"]), ["size=1m"]);
    let layer = |name: &str| format!("/{}", name.repeat(100));
    let [a, b, c] = ["a", "b", "c"].map(layer);
    let lower = format!("lowerdir={a}:{b}\\:x::{c}");
    let split =
        [format!("lowerdir+={a}"), format!("lowerdir+={b}:x"), format!("datadir+={c}"), "xino=on".to_owned()];
    assert_eq!(options("overlay", &[&lower, "xino=on"]), split);
    assert_eq!(options("overlay", &["lowerdir=/a:/b"]), ["lowerdir=/a:/b"]);
}

#[test]
fn flags_of_a_filesystem_that_is_mounted_already_are_named() {
    let plan =
        planned(&with(good(), "/mounts", mount("bind", &["bind", "sync"])), Level::Oci, &root(v2(), 7));
    assert!(changed(&plan, "mounts[0].options"));
}

#[test]
fn cgroup2_is_the_unified_hierarchy_alone() {
    let config = with(good(), "/mounts", json!([{ "destination": "/sys/fs/cgroup", "type": "cgroup2" }]));
    for layout in [v2(), hybrid()] {
        let mut plan = planned(&config, Level::Oci, &root(layout, 7));
        let Source::Cgroup { views, .. } = plan.mounts.remove(0).source else { panic!("no cgroup") };
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].name, "");
    }
    let error = plan(&config.to_string(), Level::Oci, &root(v1(), 7)).unwrap_err();
    assert_eq!(error.at.as_deref(), Some("mounts[0].type"));
}

#[test]
fn device_nodes_are_bound_where_they_cannot_be_made() {
    let bound = |host: &Host| {
        let devices = json!([
            { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600 },
            { "path": "/dev/pipe", "type": "p" }
        ]);
        let plan = planned(&with(good(), "/linux/devices", devices), Level::Oci, host);
        let bound: Vec<bool> = plan.devices.iter().map(|device| device.bound).collect();
        (bound[0], bound[6], bound[7], changed(&plan, "linux.devices[0]"))
    };
    assert_eq!(bound(&root(v2(), 7)), (false, false, false, false));
    let inside = Host { caller: Caller::NamespaceRoot, ..root(v2(), 7) };
    assert_eq!(bound(&inside), (true, true, false, true));
}

#[test]
fn ids_are_mapped_by_who_may() {
    let ids = |host_id: u32, size: u32| json!([{ "containerID": 0, "hostID": host_id, "size": size }]);
    let mappers = |uids: Value, gids: Value, host: &Host| {
        let config = with(good(), "/linux/namespaces", json!([{ "type": "mount" }, { "type": "user" }]));
        let config = with(with(config, "/linux/uidMappings", uids), "/linux/gidMappings", gids);
        let namespaces = planned(&config, Level::Oci, host).namespaces;
        (namespaces.uid_mapper, namespaces.gid_mapper)
    };
    let program = |name: &str| Mapper::Program(format!("/usr/bin/{name}"));
    let user = user(v2(), 7);
    assert_eq!(mappers(ids(0, 9), ids(0, 9), &root(v2(), 7)), (Mapper::Runtime, Mapper::Runtime));
    assert_eq!(mappers(ids(1000, 1), ids(1000, 1), &user), (Mapper::Own, Mapper::Own));
    assert_eq!(mappers(ids(1000, 1), ids(1000, 2), &user), (Mapper::Own, program("newgidmap")));
    assert_eq!(mappers(ids(9, 1), ids(1000, 1), &user), (program("newuidmap"), Mapper::Own));
}
