//! The filters that a container's process really has, read back from the kernel and interpreted: how much they let through,
//! which gates they shut, and whether they mean what their JSON says. Beside runc's, with an engine's profile and without.

mod gates;
pub mod program;
pub mod readback;
mod reference;
mod search;
mod table;
mod tuples;

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sandrun::plan::seccomp::names::Abi;
use sandrun::plan::seccomp::{BASELINE_JSON, STRICT_JSON};
use serde_json::Value;

use crate::attacks::defaults;
use crate::support::{Bundle, Runtime, is_root};
use program::{Filters, lets_through, stricter};
use reference::{ENOSYS, Reference};
use tuples::Tuples;

/// The ways to call a kernel of x86_64.
const ABIS: [(&str, Abi); 3] = [("x86_64", Abi::X86_64), ("i386", Abi::X86), ("x32", Abi::X32)];
/// Above every number that an ABI has given out.
const NUMBERS: u32 = 1024;
/// A profile of many rules for three ABIs, as engines write them.
const CLASSIC_JSON: &str = include_str!("../../src/plan/seccomp/testdata/classic.json");
const TUPLES: usize = 1_000_000;

/// A process that runs until the test ends, and its filters.
fn loaded(runtime: &Runtime, bundle: &Bundle) -> Filters {
    runtime.create(bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let state = runtime.call(&["state", &bundle.id]).ok().json();
    let pid = state["pid"].as_i64().expect("a process") as i32;
    let deadline = Instant::now() + Duration::from_secs(30);
    // The filters are there once the program is.
    while fs::read_to_string(format!("/proc/{pid}/comm")).expect("the process has ended") != "probe\n" {
        assert!(Instant::now() < deadline, "the program does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    readback::filters_of(pid)
}

fn sleeper() -> Bundle {
    Bundle::probe(&["sleep", "60"])
}

fn with_profile(json: &Value) -> Bundle {
    sleeper().edit(|config| config["linux"]["seccomp"] = json.clone())
}

fn at(level: &str) -> &'static Filters {
    static FILTERS: [OnceLock<Filters>; 2] = [const { OnceLock::new() }; 2];
    let place = usize::from(level == "strict");
    FILTERS[place].get_or_init(|| loaded(&Runtime::at_level(level), &sleeper()))
}

/// runc with the configuration of our own tests: no profile, which is the default of Kubernetes.
fn runc() -> Option<Filters> {
    Some(loaded(&Runtime::peer("runc")?, &sleeper()))
}

/// runc with the profile that containerd writes for it.
fn runc_of_engine() -> Option<Filters> {
    let runtime = Runtime::peer("runc")?;
    let config = defaults::containerd()?;
    Some(loaded(&runtime, &defaults::in_bundle(&config, sleeper())))
}

/// The numbers of an ABI that get through with any arguments.
fn through(filters: &Filters, abi: Abi) -> BTreeSet<u32> {
    let first = if abi == Abi::X32 { 0x4000_0000 } else { 0 };
    (first..first + NUMBERS)
        .filter(|number| filters.find(abi.audit_arch(), *number, lets_through).is_some())
        .collect()
}

macro_rules! skip_unless_readable {
    () => {
        skip_unless!(is_root(), "needs root");
        skip_unless!(cfg!(target_arch = "x86_64"), "the tables are those of x86_64");
    };
}

#[test]
fn at_most_230_numbers_pass_at_baseline_and_130_at_strict() {
    skip_unless_readable!();
    for (level, most) in [("baseline", 230), ("strict", 130)] {
        let counts = ABIS.map(|(name, abi)| (name, through(at(level), abi).len()));
        println!("{level}: {counts:?}");
        assert!(counts[0].1 <= most && counts[0].1 > 100, "{level}: {counts:?}");
        assert_eq!(counts[1..], [("i386", 0), ("x32", 0)], "{level}");
    }
}

#[test]
fn strict_lets_nothing_through_that_baseline_refuses() {
    skip_unless_readable!();
    let [baseline, strict] = [BASELINE_JSON, STRICT_JSON].map(|text| serde_json::from_str(text).unwrap());
    let mut tuples = Tuples::new(&[&baseline, &strict], 0x1ead);
    for _ in 0..TUPLES {
        let call = tuples.draw();
        let (weaker, stronger) = (at("baseline").answer(&call), at("strict").answer(&call));
        assert!(lets_through(weaker) || !lets_through(stronger), "{call:x?}");
    }
}

#[test]
fn at_least_77_of_the_78_bugs_of_kernelctf_are_behind_shut_gates() {
    skip_unless_readable!();
    assert_eq!(gates::KERNELCTF.iter().map(|gate| gate.cves).sum::<usize>(), 78);
    assert_eq!(gates::shut(gates::KERNELCTF, &Filters(Vec::new())), 0, "all are open without a filter");
    for level in ["baseline", "strict"] {
        let open = gates::KERNELCTF.iter().filter(|gate| !gate.is_shut(at(level))).map(|gate| gate.name);
        let open: Vec<&str> = open.collect();
        assert!(gates::shut(gates::KERNELCTF, at(level)) >= 77, "open at {level}: {open:?}");
    }
}

#[test]
fn the_nine_gates_to_the_page_cache_are_shut() {
    skip_unless_readable!();
    assert_eq!(gates::shut(gates::PAGE_CACHE, &Filters(Vec::new())), 0, "all are open without a filter");
    for level in ["baseline", "strict"] {
        let open = gates::PAGE_CACHE.iter().filter(|gate| !gate.is_shut(at(level))).map(|gate| gate.name);
        assert_eq!(open.collect::<Vec<_>>(), Vec::<&str>::new(), "{level}");
    }
}

/// On how many of a million calls the filters do not answer what the profiles say, the newest first.
fn mismatches(filters: &Filters, profiles: &[(&Value, u32)]) -> Vec<String> {
    let references: Vec<Reference> =
        profiles.iter().map(|(json, foreign)| Reference::new(json, *foreign)).collect();
    let jsons: Vec<&Value> = profiles.iter().map(|(json, _)| *json).collect();
    let mut tuples = Tuples::new(&jsons, 0x5eed);
    let (mut answers, mut wrong) = (BTreeSet::new(), Vec::new());
    for _ in 0..TUPLES {
        let call = tuples.draw();
        let expected = references.iter().map(|reference| reference.answer(&call)).reduce(stricter).unwrap();
        let answer = filters.answer(&call);
        if answer != expected {
            wrong.push(format!("{call:x?}: {answer:#x} instead of {expected:#x}"));
        }
        answers.insert(answer);
    }
    println!("{TUPLES} calls, {} mismatches, answers {answers:x?}", wrong.len());
    assert!(answers.len() > 3, "the calls reach too few answers: {answers:x?}");
    wrong
}

#[track_caller]
fn assert_equivalent(filters: &Filters, profiles: &[(&Value, u32)]) {
    let wrong = mismatches(filters, profiles);
    assert!(wrong.is_empty(), "{} mismatches, the first {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}

#[test]
fn one_bit_of_a_profile_is_a_mismatch() {
    skip_unless_readable!();
    let mut json: Value = serde_json::from_str(BASELINE_JSON).unwrap();
    let rules = json["syscalls"].as_array_mut().unwrap();
    let clone = rules.iter_mut().find(|rule| rule["names"][0] == "clone").unwrap();
    let mask = &mut clone["args"][0]["value"];
    *mask = (mask.as_u64().unwrap() & !0x1000_0000).into();
    assert!(!mismatches(at("baseline"), &[(&json, ENOSYS)]).is_empty(), "CLONE_NEWUSER is not noticed");
}

#[test]
fn a_million_calls_get_the_answers_of_baseline_json() {
    skip_unless_readable!();
    assert_equivalent(at("baseline"), &[(&serde_json::from_str(BASELINE_JSON).unwrap(), ENOSYS)]);
}

#[test]
fn a_million_calls_get_the_answers_of_strict_json() {
    skip_unless_readable!();
    assert_equivalent(at("strict"), &[(&serde_json::from_str(STRICT_JSON).unwrap(), ENOSYS)]);
}

#[test]
fn a_million_calls_get_the_answers_of_a_profile_in_config_json() {
    skip_unless_readable!();
    let own: Value = serde_json::from_str(CLASSIC_JSON).unwrap();
    // Programs of an ABI that a config.json does not list are killed, as libseccomp does it.
    assert_equivalent(&loaded(&Runtime::at_level("oci"), &with_profile(&own)), &[(&own, 0)]);
}

#[test]
fn a_million_calls_get_the_stricter_answer_of_two_profiles() {
    skip_unless_readable!();
    let own: Value = serde_json::from_str(CLASSIC_JSON).unwrap();
    for (level, text, count) in [("baseline", BASELINE_JSON, 2), ("strict", STRICT_JSON, 1)] {
        let filters = loaded(&Runtime::at_level(level), &with_profile(&own));
        assert_eq!(filters.0.len(), count, "{level}");
        assert_equivalent(&filters, &[(&own, 0), (&serde_json::from_str(text).unwrap(), ENOSYS)]);
    }
}

#[test]
fn the_table_beside_the_profiles_is_what_the_filters_do() {
    skip_unless_readable!();
    let peers = [runc(), runc_of_engine()];
    table::assert_current(&peers, [at("baseline"), at("strict")]);
    skip_unless!(peers.iter().all(Option::is_some), "runc or containerd is not installed");
}
