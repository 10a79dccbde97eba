//! The same where `/sys/fs/cgroup` is a cgroup2.

use super::limits::denies_the_secret_device;
use super::processes::freezes_and_thaws;
use super::*;

/// Runs `inside_v2` where `/sys/fs/cgroup` is a cgroup2, in a mount namespace that ends with it.
#[test]
fn pure_v2() {
    if skipped("pure_v2") {
        return;
    }
    let view = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", view])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", "--nocapture", "cgroup::tests::pure_v2::inside_v2"])
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

#[test]
#[ignore = "run by pure_v2, in the view it makes"]
fn inside_v2() {
    let fixture = Fixture::new("v2", serde_json::json!({ "unified": { "cgroup.max.depth": "3" } }));
    assert!(matches!(fixture.layout, Layout::V2 { .. }));
    assert!(fixture.dirs.tasks(true).expect("none").is_empty());
    assert!(verify(&fixture.dirs, &fixture.cgroup.settings).iter().all(|outcome| outcome.holds));

    let secret = format!(": < {SECRET_DEVICE}");
    assert!(reap(fixture.shell(&secret)).success(), "without the program it can be opened");
    assert_eq!(restrict(&fixture.dirs, &fixture.cgroup.devices), Ok(Restricted::Program));
    denies_the_secret_device(&fixture);
    let unprivileged = as_nobody(|| restrict(&fixture.dirs, &fixture.cgroup.devices));
    assert!(matches!(unprivileged, Ok(Restricted::Not(_))), "{unprivileged:?}");

    freezes_and_thaws(&fixture);

    limits_change(&fixture);

    let shell = fixture.shell("sleep 100 & sleep 100 & wait");
    assert_eq!(fixture.settled(|count| count == 3), 3);
    kill_all(&fixture.dirs).expect("killed");
    assert_eq!(fixture.pids(), [0; 0]);
    reap(shell);

    if fixture.layout.version_of("memory").is_some() {
        return;
    }
    assert!(OomWatch::new(&fixture.dirs).expect("no error").is_none());
    let limit = serde_json::json!({ "memory": { "limit": 33_554_432 } });
    let resources = serde_json::from_value(limit).expect("valid resources");
    let request = Request { id: "x", resources: Some(&resources), ..Request::default() };
    let errors = plan::resolve(&request, &fixture.layout).expect_err("no memory controller here");
    assert_eq!(errors[0].at.as_deref(), Some("linux.resources.memory.limit"));
}

fn limits_change(fixture: &Fixture) {
    let used = stats::read(&fixture.dirs).expect("statistics");
    assert!(used.cpu.usage.total > 0 && used.cpu.psi.is_some(), "{used:?}");
    let change = |depth: &str| {
        let unified =
            serde_json::json!({ "unified": { "cgroup.max.depth": depth, "cgroup.max.descendants": "9" } });
        let resources = serde_json::from_value(unified).expect("valid resources");
        fixture.cgroup.update(&resources, None, &fixture.layout).expect("an update").writes
    };
    let holds =
        |settings: &[plan::Setting]| verify(&fixture.dirs, settings).iter().all(|outcome| outcome.holds);
    let good = change("5");
    let before = update(&fixture.dirs, &good, &fixture.layout).expect("updated");
    assert!(holds(&good));
    let mut bad = change("7");
    bad.reverse();
    bad.push(plan::Setting { value: "deep".to_owned(), ..bad[1].clone() });
    update(&fixture.dirs, &bad, &fixture.layout).expect_err("no number");
    assert!(holds(&good), "it was not taken back");
    restore(&fixture.dirs, &before).expect("as before");
    assert!(holds(&fixture.cgroup.settings));
}
