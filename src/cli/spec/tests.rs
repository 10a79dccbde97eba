use serde_json::Value;

use super::{CONFIG, rootless, without_cgroup_namespace, write};
use crate::cli::tests::plan;
use crate::error::Kind;
use crate::level::Level;
use crate::plan::namespaces::{IdMapping, NamespaceKind};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_level_can_run_it_and_knows_every_field() {
    let texts = [(CONFIG.to_owned(), 0), (without_cgroup_namespace(CONFIG), 0), (rootless(1000, 1001), 1000)];
    for (text, euid) in texts {
        assert_eq!(crate::oci::parse(&text).unwrap().unknown, Vec::<String>::new());
        for level in [Level::Oci, Level::Baseline, Level::Strict] {
            let plan = plan(parse(&text), level, euid, false).unwrap();
            assert_eq!(plan.rootfs.path, "/bundle/rootfs");
            assert_eq!(plan.workload.args, ["sh"]);
            assert!(plan.workload.no_new_privs && plan.workload.terminal.is_some() && plan.rootfs.readonly);
        }
    }
}

#[test]
fn the_cgroup_namespace_is_left_out_and_nothing_else() {
    let mut config = parse(CONFIG);
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "cgroup");
    assert_eq!(parse(&without_cgroup_namespace(CONFIG)), config);
    assert_ne!(parse(CONFIG), config);
}

#[test]
fn baseline_hides_no_more_than_what_is_written() {
    let plan = plan(parse(CONFIG), Level::Baseline, 0, false).unwrap();
    let added = |at: &str| plan.changes.iter().any(|change| change.at == at);
    assert!(!added("linux.maskedPaths") && !added("linux.readonlyPaths") && !added("linux.namespaces"));
}

#[test]
fn an_ordinary_user_is_mapped_alone_and_keeps_the_network() {
    let plan = plan(parse(&rootless(1000, 1001)), Level::Baseline, 1000, false).unwrap();
    assert_eq!(plan.namespaces.uid_mappings, [IdMapping { inside: 0, outside: 1000, size: 1 }]);
    assert_eq!(plan.namespaces.gid_mappings, [IdMapping { inside: 0, outside: 1001, size: 1 }]);
    assert!(plan.namespaces.is_new(NamespaceKind::User) && !plan.namespaces.is_new(NamespaceKind::Network));
    assert!(parse(&rootless(1000, 1001)).pointer("/linux/resources").is_none());
}

#[test]
fn what_an_ordinary_user_gets_needs_no_cgroup() {
    let mut plan = plan(parse(&rootless(1000, 1000)), Level::Baseline, 1000, false).unwrap();
    plan.give_up_cgroup("EACCES").unwrap();
    assert_eq!((plan.cgroup.path.as_str(), plan.cgroup.settings.len()), ("", 0));
    assert!(plan.absent.iter().any(|absent| absent.layer == "cgroup" && absent.why.contains("EACCES")));
}

#[test]
fn a_limit_needs_a_cgroup() {
    let mut config = parse(&rootless(1000, 1000));
    config["linux"]["resources"] = serde_json::json!({ "pids": { "limit": 5 } });
    let mut plan = plan(config, Level::Baseline, 1000, false).unwrap();
    let error = plan.give_up_cgroup("EACCES").unwrap_err();
    assert_eq!((error.kind, error.at.as_deref()), (Kind::Unsupported, Some("linux.resources.pids.limit")));
}

#[test]
fn nothing_is_overwritten() {
    let path = std::env::temp_dir().join(format!("sandrun-spec-{}.json", std::process::id()));
    let first = write(&path, "first");
    let second = write(&path, "second");
    let text = std::fs::read_to_string(&path);
    std::fs::remove_file(&path).unwrap();
    first.unwrap();
    assert_eq!(second.unwrap_err().kind, Kind::Exists);
    assert_eq!(text.unwrap(), "first");
}
