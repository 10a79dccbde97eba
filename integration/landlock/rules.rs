//! Rules that somebody asked for: LandlockConfig by annotation and by file, and `process.landlock`.

use std::fs;

use serde_json::{Value, json};

use super::landlock_abi;
use crate::support::{Bundle, Runtime, is_root};

const LEVELS: [&str; 3] = ["oci", "baseline", "strict"];

/// The probe may be run, and files be read beneath `/etc` and written beneath `/tmp`.
fn rules() -> Value {
    json!({
        "abi": 1,
        "ruleset": [{ "handledAccessFs": ["execute", "read_file", "write_file", "make_reg"] }],
        "pathBeneath": [
            { "allowedAccess": ["execute", "read_file"], "parent": ["/probe"] },
            { "allowedAccess": ["read_file"], "parent": ["/etc"] },
            { "allowedAccess": ["read_file", "write_file", "make_reg"], "parent": ["/tmp"] }
        ]
    })
}

/// The same in the form of the proposal to the specification.
fn block() -> Value {
    json!({
        "ruleset": { "handledAccessFS": ["execute", "read_file", "write_file", "make_reg"] },
        "rules": { "pathBeneath": [
            { "allowedAccess": ["execute", 4], "paths": ["/probe"] },
            { "allowedAccess": ["read_file"], "paths": ["/etc"] },
            { "allowedAccess": ["read_file", "write_file", "make_reg"], "paths": ["/tmp"] }
        ] }
    })
}

fn bundle(words: &[&str]) -> Bundle {
    let bundle = Bundle::probe(words);
    fs::write(bundle.rootfs().join("etc/file"), "granted").expect("cannot write the file");
    fs::create_dir(bundle.rootfs().join("srv")).expect("cannot make a directory");
    fs::write(bundle.rootfs().join("srv/file"), "not granted").expect("cannot write the file");
    bundle
}

fn annotated(bundle: Bundle, rules: &Value) -> Bundle {
    bundle.edit(|config| config["annotations"] = json!({ "dev.sandrun.landlock": rules.to_string() }))
}

fn with_block(bundle: Bundle, block: &Value) -> Bundle {
    bundle.edit(|config| config["process"]["landlock"] = block.clone())
}

/// What is granted can be done, and what is not cannot, however the rules are given.
#[track_caller]
fn assert_in_force(name: &str, ask: impl Fn(&[&str]) -> Value) {
    assert_eq!(ask(&["read", "/etc/file"])["content"], "granted", "{name}");
    assert_eq!(ask(&["read", "/srv/file"])["errno"], "EACCES", "{name}");
    assert!(ask(&["write", "/tmp/new"])["errno"].is_null(), "{name}");
    assert_eq!(ask(&["write", "/etc/file"])["errno"], "EACCES", "{name}");
    assert_eq!(ask(&["write", "/srv/new"])["errno"], "EACCES", "{name}");
}

#[test]
fn rules_by_annotation_file_and_field_hold_at_every_level() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi().is_some(), "this kernel has no Landlock");
    let seen = Runtime::at_level("oci").ask(&bundle(&["read", "/srv/file"]));
    assert_eq!(seen["content"], "not granted", "without rules it can be read");
    for level in LEVELS {
        let runtime = Runtime::at_level(level);
        assert_in_force(&format!("{level}, annotation"), |words| {
            runtime.ask(&annotated(bundle(words), &rules()))
        });
        assert_in_force(&format!("{level}, field"), |words| {
            runtime.ask(&with_block(bundle(words), &block()))
        });
        assert_in_force(&format!("{level}, field as LandlockConfig"), |words| {
            runtime.ask(&with_block(bundle(words), &rules()))
        });
        assert_in_force(&format!("{level}, file"), |words| {
            let bundle = bundle(words);
            let file = bundle.path().join("rules.json");
            fs::write(&file, rules().to_string()).expect("cannot write the rules");
            runtime.run_with(&bundle, &["--landlock", &file.display().to_string()]).ok().json()
        });
    }
}

/// A rule of one domain grants nothing that another one does not.
#[test]
fn further_rules_only_take_away() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi().is_some(), "this kernel has no Landlock");
    let all = json!({ "ruleset": { "handledAccessFS": ["read_file"] },
        "rules": { "pathBeneath": [{ "allowedAccess": ["read_file"], "paths": ["/"] }] } });
    let both = |words: &[&str]| with_block(annotated(bundle(words), &rules()), &all);
    let runtime = Runtime::sandrun();
    assert_eq!(runtime.ask(&both(&["read", "/srv/file"]))["errno"], "EACCES");
    assert_eq!(runtime.ask(&both(&["read", "/etc/file"]))["content"], "granted");
    let escape = runtime.inheriting(std::path::Path::new("/etc"));
    let seen = escape.run_with(&both(&["fd-reach", "3", "passwd"]), &["--preserve-fds", "1"]).ok().json();
    assert_eq!(seen["errno"], "EACCES", "the derived domain holds beside: {seen}");
}

#[test]
fn an_exec_is_in_the_same_domains_and_may_be_in_more() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi().is_some(), "this kernel has no Landlock");
    for level in LEVELS {
        let runtime = Runtime::at_level(level);
        let bundle = with_block(bundle(&["sleep", "60"]), &block());
        runtime.create(&bundle).ok();
        runtime.call(&["start", &bundle.id]).ok();
        assert_in_force(level, |words| {
            let words: Vec<&str> = ["exec", &bundle.id, "/probe"].iter().chain(words).copied().collect();
            runtime.call(&words).ok().json()
        });
        let narrower = json!({ "ruleset": { "handledAccessFS": ["read_file"] },
            "rules": { "pathBeneath": [{ "allowedAccess": ["read_file"], "paths": ["/probe"] }] } });
        let mut process = bundle.config["process"].clone();
        process["args"] = json!(["/probe", "read", "/etc/file"]);
        process["landlock"] = narrower;
        let file = bundle.path().join("process.json");
        fs::write(&file, process.to_string()).expect("cannot write the process");
        let words = ["exec", "--process", &file.display().to_string(), &bundle.id];
        assert_eq!(runtime.call(&words).ok().json()["errno"], "EACCES", "{level}");
        process["landlock"] = json!({ "ruleset": { "handledAccessFS": ["fly"] } });
        fs::write(&file, process.to_string()).expect("cannot write the process");
        let refused = runtime.call(&words);
        assert!(refused.code == 125 && refused.stderr.contains("fly"), "{level}: {refused}");
    }
}

#[test]
fn a_path_that_is_not_there_is_an_error_unless_best_effort_is_asked_for() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi().is_some(), "this kernel has no Landlock");
    let mut block = block();
    block["rules"]["pathBeneath"][1]["paths"] = json!(["/etc", "/nowhere/at/all"]);
    let runtime = Runtime::at_level("oci");
    for best_effort in [None, Some(false)] {
        if let Some(wish) = best_effort {
            block["disableBestEffort"] = json!(wish);
        }
        let bundle = with_block(bundle(&["read", "/etc/file"]), &block);
        let created = runtime.create(&bundle);
        if best_effort.is_none() {
            assert!(created.code == 125 && created.stderr.contains("/nowhere/at/all"), "{created}");
            assert!(created.stderr.contains("process.landlock"), "{created}");
            continue;
        }
        created.ok();
        let state = runtime.call(&["state", &bundle.id]).ok().json();
        let receipt = state["sandrun"]["receipt"].to_string();
        assert!(receipt.contains("not there, so nothing granted: /nowhere/at/all"), "{receipt}");
    }
}

/// A link of the image leads where it leads inside: to a file of the container's, or nowhere.
#[test]
fn a_rule_on_a_link_grants_nothing_outside() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi().is_some(), "this kernel has no Landlock");
    let link = |target: &str| {
        let bundle = bundle(&["fd-reach", "3", "passwd"]);
        std::os::unix::fs::symlink(target, bundle.rootfs().join("link")).expect("cannot make a link");
        let mut block = block();
        block["rules"]["pathBeneath"][1]["paths"] = json!(["/link"]);
        with_block(bundle, &block)
    };
    let runtime = Runtime::at_level("oci").inheriting(std::path::Path::new("/etc"));
    for target in ["/etc", "../../../../etc"] {
        let seen = runtime.run_with(&link(target), &["--preserve-fds", "1"]).ok().json();
        assert_eq!(seen["errno"], "EACCES", "{target}: {seen}");
    }
    let refused = runtime.run_with(&link("/proc/1/root/etc"), &["--preserve-fds", "1"]);
    assert!(refused.code == 125 && refused.stderr.contains("Too many levels of symbolic links"), "{refused}");
}

#[test]
fn whatever_is_not_understood_is_refused_and_nothing_runs() {
    skip_unless!(is_root(), "needs root");
    for (block, named) in [
        (json!({ "ruleset": { "handledAccessFS": ["fly"] } }), "fly"),
        (
            json!({ "ruleset": { "handledAccessFS": ["execute"] }, "disable_best_effort": true }),
            "disable_best_effort",
        ),
        (json!({ "abi": 99, "ruleset": [{ "handledAccessFs": ["abi.all"] }] }), "abi"),
        (json!({}), "nothing is restricted"),
    ] {
        let refused = Runtime::at_level("oci").run(&with_block(bundle(&["exit", "0"]), &block));
        assert!(refused.code == 125 && refused.stderr.contains(named), "{named}: {refused}");
    }
    let refused = Runtime::sandrun().run(&annotated(bundle(&["exit", "0"]), &json!("rules")));
    assert!(refused.code == 125 && refused.stderr.contains("dev.sandrun.landlock"), "{refused}");
}

/// At `oci` config.json decides whether `execve` adds privileges: rules hold for whoever gains some.
#[test]
fn rules_hold_where_privileges_may_be_gained() {
    skip_unless!(is_root(), "needs root");
    skip_unless!(landlock_abi().is_some(), "this kernel has no Landlock");
    let gaining = |words: &[&str]| {
        with_block(bundle(words), &block()).edit(|config| config["process"]["noNewPrivileges"] = json!(false))
    };
    let runtime = Runtime::at_level("oci");
    assert_in_force("oci", |words| runtime.ask(&gaining(words)));
    let with_proc = |words: &[&str]| {
        let mut block = block();
        block["rules"]["pathBeneath"][1]["paths"] = json!(["/proc"]);
        with_block(gaining(words), &block)
    };
    let status = runtime.ask(&with_proc(&["status"]));
    assert_eq!(status["NoNewPrivs"], "0", "{status}");
    let effective = u64::from_str_radix(status["CapEff"].as_str().expect("a mask"), 16).expect("a mask");
    assert_eq!(effective >> 21 & 1, 0, "what Landlock needed to be entered is gone: {status}");
}

#[test]
fn features_announce_what_is_read_and_what_this_kernel_enforces() {
    let annotations = Runtime::sandrun().call(&["features"]).ok().json()["annotations"].clone();
    let text = |name: &str| annotations[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let abi = landlock_abi().unwrap_or(0).min(10);
    assert_eq!(text("dev.sandrun.landlock.abi"), abi.to_string());
    assert_eq!(text("dev.sandrun.landlock.process"), "runtime-spec-1241,landlockconfig");
    assert_eq!(text("dev.sandrun.landlock.accessFs").split(',').any(|name| name == "truncate"), abi >= 3);
    assert_eq!(text("dev.sandrun.landlock.accessNet").split(',').any(|name| name == "bind_tcp"), abi >= 4);
    assert_eq!(text("dev.sandrun.landlock.scoped").split(',').any(|name| name == "signal"), abi >= 6);
}
