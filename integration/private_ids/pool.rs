//! Where the ids come from, and that they go back.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{FLAG, running};
use crate::support::{Bundle, Runtime, Scratch, is_root, leaks};

/// A runtime that finds these lines in `/etc/subuid` and `/etc/subgid`, and a pool that nobody else uses.
fn with_lines(lines: &str, scratch: &Scratch) -> Runtime {
    let (file, pool) = (scratch.path().join("subid"), scratch.path().join("pool"));
    fs::write(&file, lines).expect("cannot write the lines");
    fs::create_dir_all(&pool).expect("cannot make the pool");
    let script = format!(
        "mkdir -p /run/sandrun-ids && mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid && \
         mount --bind {1} /run/sandrun-ids && exec \"$@\"",
        file.display(),
        pool.display()
    );
    Runtime::sandrun().wrapped(&["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"])
}

fn entries(scratch: &Scratch) -> Vec<PathBuf> {
    let entries = fs::read_dir(scratch.path().join("pool")).expect("cannot list the pool");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn sleeping() -> Bundle {
    Bundle::probe(&["sleep", "60"])
}

#[test]
fn the_administrator_says_which_and_how_many() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(
        fs::metadata("/etc/subuid").is_ok() && fs::metadata("/etc/subgid").is_ok(),
        "no /etc/subuid"
    );
    let scratch = Scratch::new("subid");
    let runtime = with_lines("daemon:100000:65536\nsandrun:3000000:131072\n", &scratch);
    let bundles: Vec<Bundle> = (0..3).map(|_| sleeping()).collect();
    let firsts: Vec<u32> = bundles[..2]
        .iter()
        .map(|bundle| *super::host_ids(running(&runtime, bundle, FLAG)).first().expect("an id"))
        .collect();
    let mut sorted = firsts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [3_000_000, 3_065_536]);
    bundles[2].write();
    let refused = runtime.run_with(&bundles[2], FLAG);
    assert_eq!(refused.code, 125, "{refused}");
    assert!(refused.stderr.contains("all 2 ranges of /etc/subuid are taken"), "{refused}");
    leaks::assert_none(&runtime, &bundles[2]);
    // What one gives back is the next one's.
    runtime.call(&["delete", "--force", &bundles[0].id]).ok();
    assert_eq!(super::host_ids(running(&runtime, &bundles[2], FLAG)).first(), Some(&firsts[0]));
    for bundle in &bundles {
        runtime.call(&["delete", "--force", &bundle.id]).ok();
    }
    assert!(entries(&scratch).is_empty());
}

#[test]
fn lines_that_do_not_fit_together_are_refused() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(
        fs::metadata("/etc/subuid").is_ok() && fs::metadata("/etc/subgid").is_ok(),
        "no /etc/subuid"
    );
    let scratch = Scratch::new("subid");
    let output = with_lines("sandrun:3000000:1000\n", &scratch).run_with(&sleeping(), FLAG);
    assert_eq!(output.code, 125, "{output}");
    assert!(output.stderr.contains("no line has 65536 ids"), "{output}");
}

#[test]
fn a_failed_create_gives_them_back() {
    skip_unless!(is_root(), "needs root");
    for (pointer, value) in [
        ("/mounts/0/source", json!("/no/such/directory")),
        ("/process/cwd", json!("/probe/not-a-directory")),
        ("/root/path", json!("no-such-rootfs")),
    ] {
        let runtime = Runtime::sandrun();
        let bundle = sleeping().edit(|config| {
            let place = config.pointer_mut(pointer).expect("it is there");
            *place = value;
            if pointer.starts_with("/mounts") {
                config["mounts"][0]["type"] = json!("bind");
                config["mounts"][0]["options"] = json!(["bind"]);
            }
        });
        let output = runtime.run_with(&bundle, FLAG);
        assert_ne!(output.code, 0, "{pointer}: {output}");
        leaks::assert_none(&runtime, &bundle);
    }
}

#[test]
fn a_damaged_record_is_no_reason_to_keep_them() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = sleeping();
    running(&runtime, &bundle, FLAG);
    fs::write(runtime.root().join(&bundle.id).join("state.json"), "{").expect("cannot damage the record");
    assert!(!leaks::all(&runtime, &bundle).is_empty());
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}
