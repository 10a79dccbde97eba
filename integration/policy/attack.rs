//! A bind source that is exchanged for a link while a container is being created.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::Policy;
use crate::support::{Bundle, Runtime, Scratch, is_root};

/// Two places, of which the first may be bound.
fn places() -> Scratch {
    let dir = Scratch::new("places");
    for place in ["allowed/volume", "outside"] {
        fs::create_dir_all(dir.path().join(place)).expect("cannot make a place");
    }
    fs::write(dir.path().join("allowed/volume/file"), "volume").expect("cannot write");
    fs::write(dir.path().join("outside/file"), "secret").expect("cannot write");
    symlink(dir.path().join("outside"), dir.path().join("allowed/link")).expect("cannot make a link");
    dir
}

fn reading(source: &Path) -> Bundle {
    Bundle::shell("cat /mnt/file").mount(json!(
        { "destination": "/mnt", "type": "bind", "source": source.display().to_string(), "options": ["rbind"] }
    ))
}

fn policy(dir: &Scratch) -> Policy {
    Policy::new(&format!("[mounts]\nallow = [{:?}]\n", dir.path().join("allowed").display().to_string()))
}

#[test]
fn a_link_that_leads_out_is_refused() {
    skip_unless!(is_root(), "needs root");
    let dir = places();
    let bundle = reading(&dir.path().join("allowed/link"));
    assert_eq!(Runtime::sandrun().run(&bundle).ok().stdout, "secret", "the attack works without a policy");
    let output = policy(&dir).runtime().run(&bundle);
    assert_eq!(output.code, 78, "{output}");
    let real = dir.path().join("outside").display().to_string();
    assert!(output.stderr.contains(&format!("{real} of the host is bound: mounts[7].source")), "{output}");
    let output = policy(&dir).runtime().run(&reading(&dir.path().join("allowed/volume"))).ok();
    assert_eq!(output.stdout, "volume");
}

/// Whoever may write to the allowed place exchanges the directory for the link, again and again.
#[test]
fn a_source_that_is_exchanged_never_leads_out() {
    skip_unless!(is_root(), "needs root");
    const TRIES: usize = 40;
    let dir = places();
    let (volume, link) = (dir.path().join("allowed/volume"), dir.path().join("allowed/link"));
    let ended = AtomicBool::new(false);
    let exchanging = |runtime: Runtime| {
        let bundle = reading(&volume);
        let tries = (0..TRIES).map(|_| runtime.run(&bundle));
        let said: Vec<_> = tries.map(|output| (output.code, output.stdout)).collect();
        ["secret", "volume", ""].map(|text| said.iter().filter(|(_, found)| found == text).count())
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            while !ended.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(rustix::fs::CWD, &volume, rustix::fs::CWD, &link, flags)
                    .expect("cannot exchange");
                std::thread::sleep(std::time::Duration::from_micros(150));
            }
        });
        let without = exchanging(Runtime::sandrun());
        let with = exchanging(policy(&dir).runtime());
        ended.store(true, Ordering::Relaxed);
        assert!(without[0] > 0, "the attack works without a policy: {without:?}");
        assert!(with[0] == 0 && with[1] > 0 && with[2] > 0, "with one it does not: {with:?}");
    });
}
