use super::*;

fn asked(fstype: &str, source: &str, options: &[&str]) -> Asked {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    Asked { fstype: fstype.to_owned(), source: source.to_owned(), target: String::new(), options }
}

fn resolved(fstype: &str, source: &str, options: &[&str]) -> Stacked {
    one(&asked(fstype, source, options), "rootfs[0]".to_owned()).unwrap()
}

#[track_caller]
fn overlay(options: &[&str]) -> Overlay {
    match resolved("overlay", "overlay", options).from {
        Origin::Overlay(overlay) => overlay,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_overlay_has_its_layers_one_by_one() {
    let found = overlay(&[
        "index=off",
        "userxattr",
        "workdir=/s/3/work",
        "upperdir=/s/3/fs",
        "lowerdir=/s/2/fs:/s/1/fs",
    ]);
    let paths: Vec<_> = found.lower.iter().map(|layer| layer.path.as_str()).collect();
    assert_eq!(paths, ["/s/2/fs", "/s/1/fs"]);
    assert_eq!(found.upper, Some(("/s/3/fs".to_owned(), "/s/3/work".to_owned())));
    assert_eq!(found.options, [("index".to_owned(), Some("off".to_owned())), ("userxattr".to_owned(), None)]);
    assert_eq!(found.common_directory(), Some("/s"));
}

#[test]
fn layers_may_have_any_name_and_only_data() {
    let found =
        overlay(&["lowerdir=/s/a\\:b:/s/c::/data", "upperdir=/s/x\\\\y", "workdir=/s/w", "context=\"a,b\""]);
    let lower: Vec<_> = found.lower.iter().map(|layer| (layer.path.as_str(), layer.data)).collect();
    assert_eq!(lower, [("/s/a:b", false), ("/s/c", false), ("/data", true)]);
    assert_eq!(found.upper.unwrap().0, "/s/x\\y");
    assert_eq!(found.options, [("context".to_owned(), Some("a,b".to_owned()))]);
}

#[test]
fn the_common_directory_is_of_whole_names() {
    let common = |paths: &[&str]| {
        let lower = paths.iter().map(|path| Layer { path: (*path).to_owned(), data: false }).collect();
        Overlay { lower, ..Overlay::default() }.common_directory().map(str::to_owned)
    };
    assert_eq!(common(&["/s/12/fs", "/s/1/fs"]).as_deref(), Some("/s"));
    assert_eq!(common(&["/s/1/fs", "/s/12/fs"]).as_deref(), Some("/s"));
    assert_eq!(common(&["/s/1/fs", "/s/1/fs2"]).as_deref(), Some("/s/1"));
    assert_eq!(common(&["/s/1/fs"]).as_deref(), Some("/s/1"));
    assert_eq!(common(&["/s/1/fs", "/s/1/work"]).as_deref(), Some("/s/1"));
    assert_eq!(common(&["/a", "/b"]), None);
    assert_eq!(common(&["/a/x", "/b/x"]), None);
}

#[test]
fn a_directory_is_bound_and_a_device_mounted() {
    let Stacked { from: Origin::Bind { path, recursive }, set, .. } =
        resolved("bind", "/s/1", &["rbind", "ro"])
    else {
        panic!()
    };
    assert_eq!((path.as_str(), recursive, set), ("/s/1", true, 1));
    let ext4 = resolved("ext4", "/s/file", &["ro", "loop", "direct-io", "noload"]);
    let Origin::Filesystem { fstype, options, loop_device, .. } = ext4.from else { panic!() };
    assert_eq!((fstype.as_str(), loop_device), ("ext4", Some(true)));
    assert_eq!(options, [("ro".to_owned(), None), ("noload".to_owned(), None)]);
}

#[test]
fn ids_come_in_containerds_form() {
    let mount =
        resolved("bind", "/s/1", &["rbind", "uidmap=0:666:1000,1000:6666:64536", "gidmap=0:666:65536"]);
    let uids: Vec<_> = mount.uid_mappings.iter().map(|it| (it.inside, it.outside, it.size)).collect();
    assert_eq!(uids, [(0, 666, 1000), (1000, 6666, 64536)]);
    assert_eq!(mount.gid_mappings.len(), 1);
}

#[test]
fn what_cannot_be_done_is_refused_by_its_field() {
    for (mount, at) in [
        (asked("overlay", "overlay", &["upperdir=/u", "workdir=/w"]), "rootfs[0].options"),
        (asked("overlay", "overlay", &["lowerdir=relative"]), "rootfs[0].options"),
        (asked("overlay", "overlay", &["lowerdir=/a", "X-containerd.mkdir.path=/b"]), "rootfs[0].options"),
        (asked("bind", "relative", &["rbind"]), "rootfs[0].source"),
        (asked("bind", "/s", &["uidmap=0:1:2"]), "rootfs[0].options"),
        (asked("bind", "/s", &["uidmap=0:1", "gidmap=0:1:2"]), "rootfs[0].options"),
        (asked("bind", "/s", &["remount"]), "rootfs[0].options"),
        (asked("fuse3.fuse-overlayfs", "overlay", &["lowerdir=/a"]), "rootfs[0].type"),
        (asked("format/overlay", "overlay", &["lowerdir={{ mount 0 }}"]), "rootfs[0].type"),
        (Asked { target: "../x".to_owned(), ..asked("bind", "/s", &[]) }, "rootfs[0].target"),
    ] {
        let error = one(&mount, "rootfs[0]".to_owned()).unwrap_err();
        assert_eq!(error.at.as_deref(), Some(at), "{error}");
    }
}
