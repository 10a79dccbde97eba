//! Two programs in one answer as the kernel does for both of them.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::join::join;
use super::super::known::FLAG_SPEC_ALLOW;
use super::super::{BASELINE_JSON, Filter};
use super::equivalence::{CLASSIC_JSON, Random, interesting, random_call};
use super::*;

/// From the strictest on (seccomp(2), "Return values").
const ORDER: [u32; 8] =
    [0x8000_0000, 0, 0x0003_0000, 0x0005_0000, 0x7fc0_0000, 0x7ff0_0000, 0x7ffc_0000, 0x7fff_0000];

/// What the kernel makes of the answers of two filters, the second one loaded last.
fn stacked(first: Answer, second: Answer) -> Answer {
    let rank = |answer: Answer| ORDER.iter().position(|action| *action == answer.0 & 0xffff_0000).unwrap();
    if rank(second) <= rank(first) { second } else { first }
}

fn always(answer: Answer) -> Vec<u64> {
    vec![0x06 | u64::from(answer.0) << 32]
}

/// Every answer there is.
fn answers() -> impl Iterator<Item = Answer> {
    ORDER.into_iter().map(Answer).chain([Answer::errno(38), Answer::errno(13), Answer::trace(7)])
}

#[test]
fn every_answer_meets_every_other() {
    let read = call(Abi::X86_64, "read", [0; 6]);
    for (own, other) in answers().flat_map(|own| answers().map(move |other| (own, other))) {
        let joined = join(&always(own), &always(other));
        assert_eq!(run(&joined, &read).0, stacked(other, own), "{own} over {other}");
    }
}

#[test]
fn whole_profiles_meet() {
    let baseline = Filter::baseline();
    let mut own: Value = serde_json::from_str(CLASSIC_JSON).unwrap();
    own["listenerPath"] = json!("/run/agent");
    let notify: Value =
        json!({ "names": ["getcwd", "mkdir", "socket", "personality"], "action": "SCMP_ACT_NOTIFY" });
    own["syscalls"].as_array_mut().unwrap().insert(0, notify);
    let seccomp = serde_json::from_value(own.clone()).unwrap();
    let (filter, _) = Filter::from_oci(&seccomp, Arch::NATIVE).unwrap();
    let joined = filter.clone().joined(&baseline).unwrap();
    assert_eq!(joined.listener, filter.listener);
    assert_eq!((filter.flags, joined.flags), (FLAG_SPEC_ALLOW, 0), "the stricter of both");
    let numbers: Vec<u32> = (0..500).collect();
    let values: Vec<u64> = [BASELINE_JSON, CLASSIC_JSON]
        .into_iter()
        .flat_map(|text| interesting(&serde_json::from_str(text).unwrap()))
        .collect();
    let (mut random, mut seen) = (Random(0x10ad), BTreeSet::new());
    for _ in 0..200_000 {
        let call = random_call(&mut random, &values, &numbers);
        let expected = stacked(run(&baseline.instructions(), &call).0, run(&filter.instructions(), &call).0);
        assert_eq!(run(&joined.instructions(), &call).0, expected, "{call:x?}");
        seen.insert(expected);
    }
    assert!(seen.contains(&Answer::NOTIFY) && seen.contains(&Answer::ALLOW) && seen.len() > 5, "{seen:x?}");
}

#[test]
fn nobody_is_asked_about_what_baseline_refuses() {
    let more = json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent" });
    let (filter, _) = Filter::from_oci(&profile(json!([]), more), Arch::NATIVE).unwrap();
    let joined = filter.joined(&Filter::baseline()).unwrap();
    let answer = |name, args| run(&joined.instructions(), &call(Arch::NATIVE.native_abi(), name, args)).0;
    assert_eq!(answer("mount", [0; 6]), Answer::errno(1));
    assert_eq!(answer("seccomp", [1, 8, 0, 0, 0, 0]), Answer::errno(22));
    assert_eq!(answer("seccomp", [1, 0, 0, 0, 0, 0]), Answer::NOTIFY);
    assert_eq!(answer("execve", [0; 6]), Answer::NOTIFY);
}

#[test]
fn what_is_too_long_together_is_an_error() {
    let rules: Vec<Value> = (0..800u64)
        .map(|value| {
            json!({ "names": ["read"], "action": "SCMP_ACT_NOTIFY",
                    "args": [{ "index": value % 6, "op": "SCMP_CMP_EQ", "value": value << 31 }] })
        })
        .collect();
    let (filter, _) =
        Filter::from_oci(&profile(json!(rules), json!({ "listenerPath": "/s" })), Arch::NATIVE).unwrap();
    let length = filter.instructions().len();
    assert!((3600..4096).contains(&length), "{length}");
    let error = filter.joined(&Filter::baseline()).unwrap_err();
    assert_eq!(error.at.as_deref(), Some("linux.seccomp.syscalls"));
    assert!(error.why.contains("4096"), "{error}");
}
