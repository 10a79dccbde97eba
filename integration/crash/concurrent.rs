//! Many callers, one id.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bundle, Runtime, is_root, leaks};

fn quietly(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("cannot start the runtime")
}

fn code(mut child: Child) -> Option<i32> {
    child.wait().expect("cannot wait for the runtime").code()
}

#[test]
fn one_of_many_creates_wins() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    bundle.write();
    runtime.adopt(&bundle);
    let path = bundle.path().display().to_string();
    for round in 0..50 {
        let words = ["create", "--bundle", &path, &bundle.id];
        let children: Vec<Child> = (0..8).map(|_| quietly(runtime.command(&words))).collect();
        let codes: Vec<Option<i32>> = children.into_iter().map(code).collect();
        let winners = codes.iter().filter(|code| **code == Some(0)).count();
        assert_eq!(winners, 1, "round {round}: {codes:?}");
        assert_eq!(runtime.status(&bundle), "created", "round {round}");
        runtime.call(&["delete", "--force", &bundle.id]).ok();
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn a_storm_of_verbs() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["sleep", "60"]);
    bundle.write();
    runtime.adopt(&bundle);
    let path = bundle.path().display().to_string();
    let end = Instant::now() + Duration::from_secs(4);
    let (mut created, mut deleted) = (0, 0);
    while Instant::now() < end {
        let create = ["create", "--bundle", &path, &bundle.id];
        let delete = ["delete", "--force", &bundle.id];
        let verbs: [&[&str]; 6] =
            [&create, &delete, &["state", &bundle.id], &create, &["start", &bundle.id], &delete];
        let children: Vec<Child> = verbs.iter().map(|words| quietly(runtime.command(words))).collect();
        let codes: Vec<Option<i32>> = children.into_iter().map(code).collect();
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 125))), "{codes:?}");
        assert_eq!((codes[1], codes[5]), (Some(0), Some(0)), "delete --force always succeeds: {codes:?}");
        created += [0, 3].iter().filter(|at| codes[**at] == Some(0)).count();
        deleted += 2;
    }
    assert!(created > 5 && deleted > 5, "hardly anything happened: {created} creates, {deleted} deletes");
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}
