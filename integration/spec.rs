//! What `spec` writes can be run as it is, once a program is in the root filesystem.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, is_root};

/// Replaces a bundle's configuration by that of `spec`, with a shell script in place of the shell.
fn with_spec(runtime: &Runtime, bundle: Bundle, flags: &[&str]) -> Bundle {
    let path = bundle.path().display().to_string();
    let mut words = vec!["spec", "--bundle", &path];
    words.extend(flags);
    runtime.call(&words).ok();
    let text = fs::read(bundle.path().join("config.json")).expect("spec wrote a file");
    let written: Value = serde_json::from_slice(&text).expect("spec wrote JSON");
    let args = bundle.config["process"]["args"].clone();
    bundle.edit(|config| {
        *config = written;
        assert_eq!(config["process"]["args"], json!(["sh"]));
        config["process"]["args"] = args;
        config["process"]["terminal"] = json!(false);
    })
}

#[test]
fn it_runs_under_every_runtime() {
    skip_unless!(is_root(), "needs root");
    let sandrun = Runtime::sandrun();
    for flags in [&[][..], &["--rootless"]] {
        let bundle = with_spec(&sandrun, Bundle::shell("hostname; id -u"), flags);
        assert_eq!(sandrun.run(&bundle).ok().stdout, "sandrun\n0\n", "{flags:?}");
        if let Some(runc) = Runtime::peer("runc") {
            assert_eq!(runc.run(&bundle).ok().stdout, "sandrun\n0\n", "{flags:?}");
        }
    }
}

#[test]
fn an_ordinary_user_runs_it() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = Runtime::sandrun().of_user(51_235);
    let bundle = Bundle::shell("id -u");
    std::os::unix::fs::chown(bundle.path(), Some(51_235), None).expect("cannot give the bundle away");
    let bundle = with_spec(&runtime, bundle, &["--rootless"]);
    assert_eq!(runtime.run(&bundle).ok().stdout, "0\n");
}

#[test]
fn a_configuration_that_is_there_is_kept() {
    let bundle = Bundle::probe(&[]);
    bundle.write();
    let before = fs::read(bundle.path().join("config.json")).expect("a configuration");
    let output = Runtime::sandrun().call(&["spec", "--bundle", &bundle.path().display().to_string()]);
    assert_eq!(output.code, 125, "{output}");
    assert_eq!(fs::read(bundle.path().join("config.json")).expect("still there"), before);
}
