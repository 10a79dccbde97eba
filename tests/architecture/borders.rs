//! Which folder names what.

use crate::source::{Source, below, lines_with};

/// Every place where one of `words` is in the code of `sources`.
fn uses(sources: &[Source], words: &[&str]) -> Vec<String> {
    let places = |source: &Source| -> Vec<String> {
        let lines = |word: &&str| -> Vec<String> {
            let lines = lines_with(&source.code, word);
            lines.into_iter().map(|line| format!("{}:{line} names {word}", source.path)).collect()
        };
        words.iter().flat_map(lines).collect()
    };
    sources.iter().flat_map(places).collect()
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{found:#?}");
}

/// The same input must give the same plan, on any machine and for anyone.
#[test]
fn a_plan_comes_from_its_input_alone() {
    let words = [
        "crate::sys",
        "crate::enforce",
        "crate::cgroup",
        "crate::container",
        "crate::cli",
        "crate::oci",
        "Host::probe",
        "std::fs",
        "std::process",
        "std::env",
        "std::net",
        "std::os",
        "std::time",
        "std::io",
        "rustix",
        "nix",
        "libc",
        "pathrs",
        // These would hide the names above.
        "crate::{",
        "std::{",
        "use crate::*",
    ];
    assert_none(&uses(&below("src/plan"), &words));
}

/// A policy is read, and the host looked at, in one file each: what they say is judged without either.
#[test]
fn rules_are_judged_without_looking_at_the_host() {
    let mut sources = below("src/policy");
    sources.retain(|source| !matches!(source.path.as_str(), "src/policy/file.rs" | "src/policy/facts.rs"));
    let words = [
        "crate::sys",
        "crate::cgroup",
        "crate::container",
        "crate::cli",
        "Host::probe",
        "std::fs",
        "std::process",
        "std::env",
        "std::os",
        "std::time",
        "std::io",
        "rustix",
        "nix",
        "libc",
        "crate::{",
        "std::{",
    ];
    assert_none(&uses(&sources, &words));
}

/// What is written on a node is decided without touching it, so that it can be shown first.
#[test]
fn an_installation_is_decided_without_writing() {
    let deciding = ["plan", "edit", "effective", "handlers", "labels", "layout", "programs", "restore"];
    let mut sources = below("src/install");
    sources.retain(|source| deciding.iter().any(|name| source.path == format!("src/install/{name}.rs")));
    assert_eq!(sources.len(), deciding.len());
    let words = [
        "crate::sys",
        "Host::probe",
        "std::fs",
        "std::process",
        "std::env",
        "std::os",
        "std::io",
        "rustix",
        "nix",
    ];
    assert_none(&uses(&sources, &words));
}

/// What is enforced is the plan, and nothing that the plan has not decided.
#[test]
fn enforcing_knows_no_oci_type_and_no_decision() {
    let words = [
        "oci_spec",
        "crate::oci",
        "crate::host",
        "crate::level",
        "crate::container",
        "crate::cli",
        "crate::{",
    ];
    assert_none(&uses(&below("src/enforce"), &words));
}

#[test]
fn the_floor_knows_nobody_above_it() {
    let words =
        ["crate::enforce", "crate::container", "crate::cgroup", "crate::cli", "crate::host", "oci_spec"];
    assert_none(&uses(&below("src/sys"), &words));
    let words = ["crate::enforce", "crate::container", "crate::cli", "oci_spec"];
    assert_none(&uses(&below("src/cgroup"), &words));
}

#[test]
fn unsafe_is_under_sys_only() {
    let mut sources = below("src");
    sources.retain(|source| !source.path.starts_with("src/sys/"));
    assert_none(&uses(&sources, &["unsafe"]));
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").unwrap();
    assert_eq!(lines_with(&lib.code, "#![deny(unsafe_code)]").len(), 1);
    assert_eq!(uses(&sources, &["allow(unsafe_code)"]).len(), 1, "one folder is exempt");
    assert!(lib.code.contains("#[allow(unsafe_code)]\npub mod sys;"));
}

#[test]
fn nothing_panics_on_purpose() {
    let words = [".unwrap(", ".expect(", "panic!", "todo!", "unimplemented!", "unreachable!"];
    assert_none(&uses(&below("src"), &words));
}
