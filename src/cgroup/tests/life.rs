//! Making and removing.

use super::limits::pids_setting;
use super::*;

#[test]
fn a_cgroup_in_use_is_not_taken_and_an_empty_one_keeps_its_limits() {
    if skipped("a_cgroup_in_use_is_not_taken_and_an_empty_one_keeps_its_limits") {
        return;
    }
    let fixture = Fixture::new("exists", serde_json::json!({ "pids": { "limit": 7 } }));
    let shell = fixture.shell("exec sleep 100");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let error = create(&fixture.cgroup, &fixture.layout).expect_err("taken");
    assert_eq!(error.kind, Kind::Exists);
    assert_eq!(fixture.settled(|count| count == 1), 1, "it is left alone");
    let refused = delete(&fixture.cgroup.path, &fixture.layout).expect_err("in use");
    assert!(refused.to_string().contains("kill the processes"), "{refused}");

    kill_all(&fixture.dirs).expect("killed");
    reap(shell);
    let again = create(&fixture.cgroup, &fixture.layout).expect("empty");
    assert!(again.created().is_empty(), "{:?}", again.created());
    let limit = verify(&again, std::slice::from_ref(pids_setting(&fixture.cgroup)));
    assert_eq!(limit[0].actual.as_deref(), Some("7"));
}

#[test]
fn a_frozen_cgroup_is_refused() {
    if skipped("a_frozen_cgroup_is_refused") {
        return;
    }
    let fixture = Fixture::new("frozen", serde_json::json!({}));
    freeze(&fixture.dirs).expect("frozen");
    let refused = create(&fixture.cgroup, &fixture.layout).map(|_| ());
    thaw(&fixture.dirs).expect("thawed");
    assert!(refused.expect_err("frozen").to_string().contains("is frozen"));
}

#[test]
fn delete_needs_only_the_path_and_takes_what_is_beneath() {
    if skipped("delete_needs_only_the_path_and_takes_what_is_beneath") {
        return;
    }
    let fixture = Fixture::new("nested", serde_json::json!({}));
    for place in fixture.places() {
        let mut deep = std::path::PathBuf::from(place);
        std::fs::create_dir(deep.join("sibling")).expect("a cgroup beneath");
        for _ in 0..100 {
            deep.push("d");
            std::fs::create_dir(&deep).expect("a cgroup beneath");
        }
    }
    assert_eq!(fixture.pids(), [0; 0]);
    delete(&fixture.cgroup.path, &fixture.layout).expect("deleted");
    for place in fixture.places() {
        assert!(!std::path::Path::new(&place).exists(), "{place}");
    }
    delete(&fixture.cgroup.path, &fixture.layout).expect("nothing left is no error");
    let gone = Dirs::open(&fixture.cgroup.path, &fixture.layout).expect_err("gone");
    assert_eq!(gone.kind, Kind::NotFound);
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    if skipped("a_create_that_fails_leaves_nothing") {
        return;
    }
    let layout = detect().expect("a layout");
    let hierarchies = layout.hierarchies();
    if hierarchies.is_empty() {
        eprintln!("skipped: pure v2");
        return;
    }
    let path = format!("/sandrun-test-{}-parent/leaf", std::process::id());
    let request = Request { path: Some(&path), ..Request::default() };
    let cgroup = plan::resolve(&request, &layout).expect("a plan");
    let mut broken = hierarchies.to_vec();
    broken.push(plan::Hierarchy {
        controllers: vec!["none".to_owned()],
        dir: "/sys/fs/cgroup/none".to_owned(),
    });
    create(&cgroup, &Layout::V1 { hierarchies: broken }).expect_err("the last hierarchy is missing");
    for hierarchy in hierarchies {
        let parent = format!("{}/sandrun-test-{}-parent", hierarchy.dir, std::process::id());
        assert!(!std::path::Path::new(&parent).exists(), "{parent}");
    }
}

#[test]
fn a_parent_with_processes_is_explained() {
    if skipped("a_parent_with_processes_is_explained") {
        return;
    }
    let fixture = Fixture::new("internal", serde_json::json!({ "memory": { "limit": 33_554_432 } }));
    let Layout::V2 { .. } = fixture.layout else {
        eprintln!("skipped: needs memory in cgroup v2");
        return;
    };
    let shell = fixture.shell("exec sleep 100");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let inner = Cgroup { path: format!("{}/inner", fixture.cgroup.path), ..fixture.cgroup.clone() };
    let error = create(&inner, &fixture.layout).expect_err("the parent has a process");
    assert!(error.to_string().contains("has processes of its own"), "{error}");
    kill_all(&fixture.dirs).expect("killed");
    reap(shell);
    create(&inner, &fixture.layout).expect("the parent is empty");
}

#[test]
fn without_permission_the_error_says_what_to_do() {
    if skipped("without_permission_the_error_says_what_to_do") {
        return;
    }
    let layout = detect().expect("a layout");
    let path = format!("/sandrun-test-{}-nobody", std::process::id());
    let request = Request { path: Some(&path), ..Request::default() };
    let cgroup = plan::resolve(&request, &layout).expect("a plan");
    let error = as_nobody(|| create(&cgroup, &layout)).expect_err("no permission");
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.fix.is_some_and(|fix| fix.contains("delegated")));
}
