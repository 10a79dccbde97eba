//! `SCMP_ACT_NOTIFY` and who is told.

use serde_json::json;

use super::super::known::FLAG_WAIT_KILLABLE_RECV;
use super::super::{Filter, Listener};
use super::*;

const KILLABLE: &str = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

fn rule(action: &str) -> Value {
    json!([{ "names": ["mkdir"], "action": action }])
}

/// The fields that are wrong.
fn refused(syscalls: Value, more: Value) -> Vec<String> {
    let errors = Filter::from_oci(&profile(syscalls, more), Arch::X86_64).unwrap_err();
    assert!(errors.iter().all(|error| error.fix.is_some()), "{errors:?}");
    errors.into_iter().map(|error| error.at.unwrap()).collect()
}

/// The filter, and the fields that are without effect.
fn accepted(syscalls: Value, more: Value) -> (Filter, Vec<String>) {
    let (filter, changes) = Filter::from_oci(&profile(syscalls, more), Arch::X86_64).unwrap();
    (filter, changes.into_iter().map(|change| change.at).collect())
}

#[test]
fn notifying_needs_somebody_to_tell() {
    for nobody in [json!({}), json!({ "listenerPath": "" }), json!({ "listenerPath": null })] {
        assert_eq!(refused(rule("SCMP_ACT_NOTIFY"), nobody), ["linux.seccomp.listenerPath"]);
    }
    let default = json!({ "defaultAction": "SCMP_ACT_NOTIFY" });
    assert_eq!(refused(json!([]), default), ["linux.seccomp.listenerPath"]);
    let relative = json!({ "listenerPath": "run/agent" });
    assert_eq!(refused(rule("SCMP_ACT_NOTIFY"), relative.clone()), ["linux.seccomp.listenerPath"]);
    assert_eq!(refused(rule("SCMP_ACT_ALLOW"), relative), ["linux.seccomp.listenerPath"]);
    let metadata = json!({ "listenerMetadata": "x" });
    assert_eq!(refused(rule("SCMP_ACT_ALLOW"), metadata), ["linux.seccomp.listenerMetadata"]);
}

#[test]
fn the_agent_is_in_the_plan() {
    let more = json!({ "listenerPath": "/run/agent", "listenerMetadata": "x" });
    let (filter, changes) = accepted(rule("SCMP_ACT_NOTIFY"), more);
    assert_eq!(filter.listener, Some(Listener { path: "/run/agent".into(), metadata: "x".into() }));
    assert!(changes.is_empty());
    let default = json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent" });
    let listener = accepted(json!([]), default).0.listener;
    assert_eq!(listener, Some(Listener { path: "/run/agent".into(), metadata: String::new() }));
}

#[test]
fn an_agent_that_nothing_asks_is_without_effect() {
    let more = || json!({ "listenerPath": "/run/agent", "listenerMetadata": "x", "flags": [KILLABLE] });
    let nameless = json!([{ "names": [], "action": "SCMP_ACT_NOTIFY" }]);
    for (syscalls, nameless) in [(rule("SCMP_ACT_ALLOW"), None), (nameless, Some("syscalls[0].names"))] {
        let (filter, changes) = accepted(syscalls, more());
        assert_eq!((filter.listener, filter.flags), (None, 0), "the kernel would refuse the flag");
        let fields = nameless.into_iter().chain(["listenerPath", "flags"]);
        assert_eq!(changes, fields.map(|field| format!("linux.seccomp.{field}")).collect::<Vec<_>>());
    }
    let (filter, changes) = accepted(rule("SCMP_ACT_NOTIFY"), more());
    assert_eq!((filter.flags, changes.len()), (FLAG_WAIT_KILLABLE_RECV, 0));
}

/// Whoever notifies of everything, notifies of what is newer than the profile, too.
#[test]
fn notifying_as_the_default_covers_every_call_but_those_named() {
    let more = json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent" });
    let seccomp = profile(json!([{ "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" }]), more);
    assert_eq!(ask(&seccomp, call(Abi::X86_64, "write", [0; 6])), Answer::ALLOW);
    for number in [2, 59, 231, 500, 1 << 20] {
        let call = Call { arch: Abi::X86_64.audit_arch(), number, args: [0; 6] };
        assert_eq!(ask(&seccomp, call), Answer::NOTIFY, "{number}");
    }
    assert_eq!(ask(&seccomp, call(Abi::X86, "read", [0; 6])), Answer::KILL_THREAD);
}
