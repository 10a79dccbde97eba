//! Execs: what is more than the container's own process.

use super::*;
use crate::plan::process::Terminal;
use crate::plan::{Plan, Workload};
use crate::policy::exec::judge;

fn container() -> Plan {
    let config =
        with(careful(), "/annotations", json!({ "dev.sandrun.exec-probes": "[[\"/bin/own\", \"-q\"]]" }));
    allowed("", &config).plan
}

/// What the policy says of an exec that is changed from the container's own process.
fn judged(policy: &str, change: impl FnOnce(&mut Workload)) -> Result<(), String> {
    let plan = container();
    let mut workload = Workload { terminal: None, ..plan.workload.clone() };
    change(&mut workload);
    let policy = Written::new(policy).origin().load().unwrap().unwrap();
    judge(&policy, &workload, &plan).map(drop).map_err(|error| error.to_string())
}

#[test]
fn the_same_is_allowed_and_more_is_not() {
    let same = "[exec]\nallow = \"same\"";
    assert_eq!(judged(same, |_| ()), Ok(()));
    assert_eq!(judged(same, |exec| exec.terminal = Some(Terminal::default())), Ok(()));
    for (words, change) in [
        ("CAP_CHOWN asked for", (|exec| exec.capabilities.bounding = 1) as fn(&mut Workload)),
        ("user 0, where the container is user 1000", |exec| exec.user.uid = 0),
        ("groups [7]", |exec| exec.user.additional_gids.push(7)),
        ("another label", |exec| exec.apparmor_profile = Some("unconfined".to_owned())),
    ] {
        let error = judged(same, change).unwrap_err();
        assert!(error.contains(words) && error.contains("exec.allow"), "{error}");
        assert_eq!(judged("", change), Ok(()), "the level decides without a rule");
        assert_eq!(judged(&format!("mode = \"warn\"\n{same}"), change), Ok(()));
    }
}

#[test]
fn probes_are_whole_argument_vectors_without_a_terminal() {
    let probes = "[exec]\nallow = \"probes\"\nprobes = [[\"/bin/check\"]]";
    let run = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        judged(probes, |exec| exec.args = args)
    };
    assert_eq!(run(&["/bin/check"]), Ok(()));
    assert_eq!(run(&["/bin/own", "-q"]), Ok(()), "the container's own annotation");
    for args in [&["/bin/check", "-x"][..], &["/bin/own"], &["sh"]] {
        assert!(run(args).unwrap_err().contains("is no probe of this container"));
    }
    let error = judged(probes, |exec| {
        exec.args = vec!["/bin/check".to_owned()];
        exec.terminal = Some(Terminal::default());
    });
    assert!(error.unwrap_err().contains("a probe has no terminal"));
}

#[test]
fn none_is_none_and_root_is_not_let_in_by_an_exec() {
    assert!(judged("[exec]\nallow = \"deny\"", |_| ()).unwrap_err().contains("no process is added"));
    let never = "[process]\nrun-as-root = \"never\"";
    assert!(judged(never, |exec| exec.user.uid = 0).unwrap_err().contains("would be root"));
}

#[test]
fn probes_that_are_no_list_are_refused_when_the_container_is_made() {
    let config = with(careful(), "/annotations", json!({ "dev.sandrun.exec-probes": "/bin/own" }));
    let refusal = refused("", &config);
    assert_eq!(refusal.at.as_deref(), Some("annotations[\"dev.sandrun.exec-probes\"]"), "{refusal}");
}
