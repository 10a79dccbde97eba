//! What an exec may have beside its capabilities: from `baseline` on never more than its container.

use super::Workload;
use crate::error::{Error, Kind, Result};

/// Limits what is asked for to what the container has. Engines repeat the container's `process` for an exec, as
/// it was before the level tightened it: that is no reason to fail.
///
/// # Errors
/// `Refused` for another label than the container's: nobody can tell which of two confines more.
pub fn limit(asked: &mut Workload, own: &Workload) -> Result<()> {
    for limit in &mut asked.rlimits {
        let Some(own) = own.rlimits.iter().find(|own| own.resource == limit.resource) else { continue };
        limit.hard = limit.hard.min(own.hard);
        limit.soft = limit.soft.min(limit.hard);
    }
    if let (Some(asked), Some(own)) = (&mut asked.oom_score_adj, own.oom_score_adj) {
        *asked = own.max(*asked);
    }
    if asked.scheduler.as_ref().is_some_and(|asked| asked.exceeds(own.scheduler.as_ref())) {
        asked.scheduler.clone_from(&own.scheduler);
    }
    if asked.io_priority.as_ref().is_some_and(|asked| asked.exceeds(own.io_priority.as_ref())) {
        asked.io_priority.clone_from(&own.io_priority);
    }
    for (field, asked, own) in [
        ("apparmorProfile", &asked.apparmor_profile, &own.apparmor_profile),
        ("selinuxLabel", &asked.selinux_label, &own.selinux_label),
    ] {
        if let (Some(asked), Some(own)) = (asked, own)
            && asked != own
        {
            let what = format!("exec asks for the label {asked:?}, and its container has {own:?}");
            return Err(Error::new(Kind::Refused, what, "an exec gets at most its container's privileges")
                .at(format!("process.{field}"))
                .fix("leave it out, or run the container at --level oci"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn process(fields: Value) -> Workload {
        let mut process = json!({ "args": ["true"], "cwd": "/", "user": {} });
        for (name, value) in fields.as_object().unwrap() {
            process[name] = value.clone();
        }
        crate::plan::process::resolve(&serde_json::from_value(process).unwrap(), "process").unwrap()
    }

    fn limited(asked: Value, own: Value) -> Workload {
        let mut asked = process(asked);
        limit(&mut asked, &process(own)).unwrap();
        asked
    }

    #[test]
    fn limits_stay_below_the_containers() {
        let core = |soft: u64, hard: u64| json!({ "rlimits": [{ "type": "RLIMIT_CORE", "soft": soft, "hard": hard }] });
        let within = |asked, own| {
            let limit = limited(asked, own).rlimits.remove(0);
            (limit.soft, limit.hard)
        };
        assert_eq!(within(core(5, 9), core(0, 0)), (0, 0));
        assert_eq!(within(core(5, 9), core(1, 7)), (5, 7));
        assert_eq!(within(core(5, 9), json!({})), (5, 9));
    }

    #[test]
    fn precedence_is_at_most_the_containers() {
        let scheduler = |policy: &str, nice: i32, priority: i32| json!({ "scheduler": { "policy": policy, "nice": nice, "priority": priority } });
        let name =
            |asked, own| limited(asked, own).scheduler.map(|it| format!("{} {}", it.name, it.priority));
        let fifo = scheduler("SCHED_FIFO", 0, 5);
        assert_eq!(name(fifo.clone(), json!({})), None);
        assert_eq!(name(fifo.clone(), scheduler("SCHED_IDLE", 0, 0)).as_deref(), Some("SCHED_IDLE 0"));
        assert_eq!(name(fifo.clone(), scheduler("SCHED_RR", 0, 4)).as_deref(), Some("SCHED_RR 4"));
        assert_eq!(name(fifo.clone(), fifo.clone()).as_deref(), Some("SCHED_FIFO 5"));
        assert_eq!(name(scheduler("SCHED_OTHER", -1, 0), json!({})), None);
        assert_eq!(name(scheduler("SCHED_BATCH", 3, 0), json!({})).as_deref(), Some("SCHED_BATCH 0"));
        let deadline = |runtime: u64| json!({ "scheduler": { "policy": "SCHED_DEADLINE", "runtime": runtime, "deadline": 100_000 } });
        let runtime = |asked, own| limited(asked, own).scheduler.map(|it| it.runtime);
        assert_eq!(runtime(deadline(60_000), deadline(50_000)), Some(50_000));
        assert_eq!(runtime(deadline(40_000), deadline(50_000)), Some(40_000));
        let io = |class: &str, priority: i32| json!({ "ioPriority": { "class": format!("IOPRIO_CLASS_{class}"), "priority": priority } });
        let class = |asked, own| limited(asked, own).io_priority.map(|it| (it.class, it.level));
        assert_eq!(class(io("RT", 0), json!({})), None);
        assert_eq!(class(io("BE", 5), json!({})), Some((2, 5)));
        assert_eq!(class(io("BE", 3), json!({})), None);
        assert_eq!(class(io("RT", 1), io("RT", 2)), Some((1, 2)));
        assert_eq!(class(io("IDLE", 0), io("IDLE", 7)), Some((3, 0)));
    }

    #[test]
    fn another_label_is_refused_and_the_same_is_not() {
        let label = |name: &str| process(json!({ "apparmorProfile": name }));
        let error = limit(&mut label("unconfined"), &label("tight")).unwrap_err();
        assert_eq!((error.kind, error.at.as_deref()), (Kind::Refused, Some("process.apparmorProfile")));
        limit(&mut label("tight"), &label("tight")).unwrap();
        limit(&mut label("tight"), &process(json!({}))).unwrap();
    }

    #[test]
    fn the_containers_process_is_not_killed_before_that_of_an_exec() {
        let score = |score: i32| json!({ "oomScoreAdj": score });
        let within = |asked, own| limited(asked, own).oom_score_adj;
        assert_eq!(within(score(-500), score(100)), Some(100));
        assert_eq!(within(score(500), score(100)), Some(500));
    }
}
