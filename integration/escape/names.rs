//! Links where the runtime writes on the host, and ids that are paths: CVE-2020-8557, CVE-2025-0750, CVE-2026-53489.

use std::fs;
use std::os::unix::fs::symlink;

use super::Outside;
use crate::support::{Bundle, Runtime, is_root, leaks};

#[test]
fn a_planted_link_is_not_written_through() {
    skip_unless!(is_root(), "needs root");
    let outside = Outside::new();
    let bundle = Bundle::shell("sleep 60");
    let link = bundle.path().join("link");
    let plant = || {
        // The rename has replaced it.
        let _ = fs::remove_file(&link);
        symlink(outside.canary(), &link).expect("cannot plant the link");
    };
    let link_path = link.display().to_string();
    plant();
    // The same steps done carelessly would write to it.
    assert!(fs::OpenOptions::new().append(true).open(&link).is_ok());
    let runtime = Runtime::sandrun();
    runtime.run_with(&bundle, &["--detach", "--pid-file", &link_path]).ok();
    outside.assert_untouched("pid file of run");
    plant();
    runtime.call(&["exec", "--detach", "--pid-file", &link_path, &bundle.id, "/probe", "exit", "0"]).ok();
    outside.assert_untouched("pid file of exec");
    plant();
    assert_ne!(runtime.call(&["--log", &link_path, "start", &bundle.id]).code, 0);
    outside.assert_untouched("log");
}

#[test]
fn an_id_is_a_name() {
    skip_unless!(is_root(), "needs root");
    let runtime = Runtime::sandrun();
    let bundle = Bundle::probe(&["exit", "0"]);
    bundle.write();
    let path = bundle.path().display().to_string();
    for id in ["../x", "..", ".", "a/b", "/x", "", "a\nb", "x\u{0301}", &"x".repeat(256)] {
        for words in [
            vec!["run", "--bundle", &path, id],
            vec!["delete", "--force", id],
            vec!["state", id],
            vec!["kill", id],
        ] {
            let output = runtime.call(&words);
            assert_eq!(output.code, 125, "{words:?}: {output}");
        }
    }
    assert!(!runtime.root().parent().expect("a parent").join("x").exists());
    leaks::assert_none(&runtime, &bundle);
}
