//! Killing, freezing, signalling.

use super::*;

/// Every shell starts others for as long as it lives; only all at once can they be ended.
const BOMB: &str = "while :; do sh -c \"$S\" & sleep 0.01; done";

#[test]
fn a_fork_bomb_is_killed_whole() {
    if skipped("a_fork_bomb_is_killed_whole") {
        return;
    }
    let fixture = Fixture::new("bomb", serde_json::json!({ "pids": { "limit": 60 } }));
    let shell = fixture.shell(BOMB);
    assert!(fixture.settled(|count| count > 20) > 20);
    let began = Instant::now();
    kill_all(&fixture.dirs).expect("killed");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(fixture.pids(), [0; 0]);
    assert!(!reap(shell).success());
}

#[test]
fn without_the_kernels_kill_a_fork_bomb_is_frozen_and_killed() {
    if skipped("without_the_kernels_kill_a_fork_bomb_is_frozen_and_killed") {
        return;
    }
    let mut fixture = Fixture::new("bomb-v1", serde_json::json!({ "pids": { "limit": 60 } }));
    if fixture.dirs.v1().next().is_none() {
        eprintln!("skipped: pure v2");
        return;
    }
    let shell = fixture.shell(BOMB);
    assert!(fixture.settled(|count| count > 20) > 20);
    let unified = fixture.dirs.all.iter().position(|dir| dir.version == plan::Version::V2);
    let unified = unified.map(|at| fixture.dirs.all.remove(at));
    let killed = kill_all(&fixture.dirs);
    fixture.dirs.all.extend(unified);
    killed.expect("killed");
    assert_eq!(fixture.pids(), [0; 0]);
    reap(shell);
}

#[test]
fn frozen_stands_still_until_thawed() {
    if skipped("frozen_stands_still_until_thawed") {
        return;
    }
    freezes_and_thaws(&Fixture::new("freeze", serde_json::json!({})));
}

pub(super) fn freezes_and_thaws(fixture: &Fixture) {
    let shell = fixture.shell("while :; do :; done");
    assert_eq!(fixture.settled(|count| count == 1), 1);
    let pid = fixture.pids()[0];
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        stat.split_whitespace().nth(13).and_then(|ticks| ticks.parse::<u64>().ok()).expect("user time")
    };
    let progress = || {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(300));
        ticks() - before
    };
    assert_eq!(frozen(&fixture.dirs), Ok(false));
    assert!(progress() > 0, "it runs");
    freeze(&fixture.dirs).expect("frozen");
    assert_eq!(frozen(&fixture.dirs), Ok(true));
    assert_eq!(progress(), 0, "it stands still");
    thaw(&fixture.dirs).expect("thawed");
    assert_eq!(frozen(&fixture.dirs), Ok(false));
    assert!(progress() > 0, "it runs again");
    freeze(&fixture.dirs).expect("frozen");
    kill_all(&fixture.dirs).expect("a frozen one dies too");
    assert!(!reap(shell).success());
}

#[test]
fn a_signal_reaches_everyone() {
    if skipped("a_signal_reaches_everyone") {
        return;
    }
    let fixture = Fixture::new("signal/inner", serde_json::json!({}));
    let shell = fixture.shell("sleep 100 & sleep 100 & wait");
    assert_eq!(fixture.settled(|count| count == 3), 3);
    signal(&fixture.dirs, Signal::TERM.as_raw()).expect("sent");
    reap(shell);
    assert_eq!(fixture.settled(|count| count == 0), 0);
}

/// An empty path, or the root itself, must never be taken for a container's cgroup: all of the host is in it.
#[test]
fn the_root_of_a_hierarchy_is_nobodys() {
    let layout = detect().expect("a layout");
    for path in ["", "/", "//"] {
        assert_eq!(Dirs::open(path, &layout).expect_err("a cgroup").kind, Kind::NotFound, "{path:?}");
    }
}
