use super::{Place, Sandbox, View, config, in_order};
use crate::cli::tests::plan;
use crate::level::Level;
use crate::plan::Plan;
use crate::plan::mounts::Source;
use crate::plan::namespaces::{IdMapping, NamespaceKind};

const WRITE_FILE: u64 = 1 << 1;

fn place(path: &str, view: View) -> Place {
    Place { path: path.to_owned(), view }
}

fn sandbox() -> Sandbox {
    Sandbox {
        command: vec!["make".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        terminal: false,
        host_network: false,
        ids: Some((1000, 1001)),
        places: vec![
            place("/home", View::Hidden),
            place("/home/a/src", View::Writable),
            place("/home/a", View::Home),
        ],
    }
}

fn strict(sandbox: &Sandbox) -> Plan {
    plan(config(sandbox), Level::Strict, 1000, true).unwrap()
}

#[test]
fn parents_are_mounted_before_what_is_below_them() {
    let ordered =
        in_order(&[place("/a/b-c", View::Hidden), place("/a/b/c", View::ReadOnly), place("/a", View::Home)]);
    let paths: Vec<&str> = ordered.iter().map(|place| place.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/a/b/c", "/a/b-c"]);
}

#[test]
fn the_later_view_of_a_place_wins() {
    let ordered = in_order(&[place("/root", View::Hidden), place("/root", View::Home)]);
    assert_eq!(ordered, [place("/root", View::Home)]);
}

#[test]
fn the_hosts_root_is_sealed_with_all_its_mounts() {
    let plan = strict(&sandbox());
    assert_eq!(plan.rootfs.path, "/");
    assert_eq!(plan.rootfs.set_recursive, 0x1 | 0x2 | 0x4, "MOUNT_ATTR_RDONLY, NOSUID and NODEV");
    assert!(plan.rootfs.readonly);
}

#[test]
fn of_the_host_only_what_is_named_can_be_written() {
    let plan = strict(&sandbox());
    let writable: Vec<&str> = plan
        .mounts
        .iter()
        .filter(|mount| matches!(mount.source, Source::Bind { .. }) && !mount.is_readonly())
        .map(|mount| mount.destination.as_str())
        .collect();
    assert_eq!(writable, ["/home/a/src"]);
    let landlock = &plan.workload.landlock[0];
    let may_write = |path: &str| {
        landlock.path_beneath.iter().any(|rule| rule.path == path && rule.allowed_access & WRITE_FILE != 0)
    };
    assert!(may_write("/home/a/src") && !may_write("/"));
}

#[test]
fn the_program_is_the_caller_and_has_no_capability() {
    let plan = strict(&sandbox());
    assert_eq!(plan.namespaces.uid_mappings, [IdMapping { inside: 0, outside: 1000, size: 1 }]);
    assert_eq!(plan.namespaces.gid_mappings, [IdMapping { inside: 0, outside: 1001, size: 1 }]);
    assert_eq!((plan.workload.capabilities.bounding, plan.workload.capabilities.permitted), (0, 0));
    assert!(plan.workload.no_new_privs);
}

#[test]
fn the_network_is_only_there_when_asked_for() {
    let mut sandbox = sandbox();
    assert!(strict(&sandbox).namespaces.is_new(NamespaceKind::Network));
    sandbox.host_network = true;
    let plan = strict(&sandbox);
    assert!(!plan.namespaces.is_new(NamespaceKind::Network));
    let sys = plan.mounts.iter().find(|mount| mount.destination == "/sys").unwrap();
    assert_eq!(sys.set_recursive & 1, 1, "the host's /sys is read-only with all below it");
}
