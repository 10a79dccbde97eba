//! What of a plan breaks a rule. Pure: a policy, facts and a draft of a plan give the same words each time.
//!
//! What would be in force is judged, so what the level has tightened already is no offence; but capabilities, which a
//! level takes away, are judged as they are asked for, so that who asked is told.

mod mounts;
mod process;
mod resources;

pub use process::{LEAST_MASKED, LEAST_READONLY, user};

use oci_spec::runtime::Spec;

use super::facts::Facts;
use super::form::{Layer, Mode};
use super::{Loaded, Policy, ceilings, require};
use crate::error::{Error, Kind};
use crate::host::Host;
use crate::level::Level;
use crate::plan::annotations::field;
use crate::plan::hooks::Point;
use crate::plan::namespaces::NamespaceKind;
use crate::plan::{Change, Draft, Plan};

/// What a plan was made from, as far as rules look at it.
pub struct Case<'a> {
    /// The configuration, as the policy may have tightened it.
    pub config: &'a Spec,
    /// The level that was asked for.
    pub asked: Level,
    /// What this host can do.
    pub host: &'a Host,
    /// What was found out.
    pub facts: &'a Facts,
}

/// Breaches, as they are found.
pub struct Verdict<'a> {
    policy: &'a Loaded,
    /// What is refused.
    pub refusals: Vec<Error>,
    /// What is let pass and told.
    pub warnings: Vec<Change>,
}

/// One breach of a rule.
pub struct Breach<'a> {
    /// The key of the rule: `capabilities.allow`.
    pub rule: &'a str,
    /// The mode of its table.
    pub mode: Option<Mode>,
    /// The field of config.json; empty where it is not in there.
    pub at: String,
    /// What breaks it.
    pub what: String,
    /// What to do.
    pub fix: &'a str,
}

impl<'a> Verdict<'a> {
    /// None yet.
    pub fn new(policy: &'a Loaded) -> Self {
        Self { policy, refusals: Vec::new(), warnings: Vec::new() }
    }

    /// The policy that judges.
    pub fn policy(&self) -> &'a Policy {
        &self.policy.policy
    }

    /// Refuses or warns, as the rule's table says. What could be clamped has been, before.
    pub fn breach(&mut self, breach: Breach<'_>) {
        let why = format!("{} of the policy {} does not allow it", breach.rule, self.policy.name);
        match self.policy.policy.mode(breach.mode) {
            Mode::Warn => {
                let what = format!("policy warning: {}: {why}; {}", breach.what, breach.fix);
                self.warnings.push(Change { at: breach.at, what });
            }
            Mode::Enforce | Mode::Clamp => {
                let at = Some(breach.at).filter(|at| !at.is_empty());
                self.refusals
                    .push(Error { at, ..Error::new(Kind::Refused, breach.what, why).fix(breach.fix) });
            }
        }
    }
}

/// Judges a draft: refusals are added to its own, warnings to its changes; what was judged of the host by a path is
/// fixed in it.
pub fn judge(policy: &Loaded, case: &Case<'_>, draft: &mut Draft) {
    let mut verdict = Verdict::new(policy);
    level(case, &mut draft.plan, &mut verdict);
    namespaces(case, &mut draft.plan, &mut verdict);
    mounts::judge(case, &mut draft.plan, &mut verdict);
    resources::devices(&draft.plan, &mut verdict);
    process::judge(case, &draft.plan, &mut verdict);
    resources::sysctl(&draft.plan, &mut verdict);
    hooks(&draft.plan, &mut verdict);
    // What was refused already has left a stand-in without any limit.
    let about_limits = |error: &Error| error.at.as_ref().is_some_and(|at| at.starts_with("linux.resources"));
    if !draft.refusals.iter().any(about_limits) {
        ceilings::judge(&draft.plan.cgroup, None, &mut verdict);
    }
    require::judge(&draft.plan, &mut verdict);
    let Verdict { refusals, warnings, .. } = verdict;
    draft.refusals.extend(refusals);
    draft.plan.changes.extend(warnings.iter().cloned());
    draft.plan.policy = Some(policy.in_force(warnings));
}

fn level(case: &Case<'_>, plan: &mut Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.level;
    let (Some(minimum), mode) = (rules.minimum.filter(|minimum| case.asked < *minimum), rules.mode) else {
        return;
    };
    let annotated = case.config.annotations().as_ref().is_some_and(|all| all.contains_key(Level::ANNOTATION));
    let at = if annotated { field(Level::ANNOTATION) } else { String::new() };
    if verdict.policy.policy.mode(mode) == Mode::Clamp {
        let what = format!("level {} raised to {minimum} by the node policy", case.asked);
        plan.changes.push(Change { at: if at.is_empty() { "--level".to_owned() } else { at }, what });
        return;
    }
    verdict.breach(Breach {
        rule: "level.minimum",
        mode,
        at,
        what: format!("level {} is less than {minimum}", case.asked),
        fix: "ask for more, by the annotation or by --level",
    });
}

fn namespaces(case: &Case<'_>, plan: &mut Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.namespaces;
    let (host, join, mode) = (rules.host.clone(), rules.join.clone(), rules.mode);
    for kind in NamespaceKind::ALL {
        if host.as_ref().is_none_or(|host| host.contains(&kind)) {
            continue;
        }
        let is_new = plan.namespaces.is_new(kind);
        let joined = plan.namespaces.join.iter_mut().find(|joined| joined.kind == kind);
        let (at, what) = match joined {
            Some(joined) if case.facts.host_namespaces.contains(&kind) => {
                (joined.at.clone(), format!("{} is the host's {kind} namespace", joined.path))
            }
            Some(joined) => {
                joined.foreign = true;
                continue;
            }
            None if is_new => continue,
            None => {
                ("linux.namespaces".to_owned(), format!("the container is in the host's {kind} namespace"))
            }
        };
        let fix = format!("give it one of its own: {{\"type\": \"{kind}\"}}{}", pod_field(kind));
        verdict.breach(Breach { rule: "namespaces.host", mode, at, what, fix: &fix });
    }
    for joined in &plan.namespaces.join {
        if join.as_ref().is_some_and(|join| !join.contains(&joined.kind)) {
            verdict.breach(Breach {
                rule: "namespaces.join",
                mode,
                at: joined.at.clone(),
                what: format!("a {} namespace is joined", joined.kind),
                fix: "leave the path out",
            });
        }
    }
}

/// What asks for the host's in a pod.
fn pod_field(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Network | NamespaceKind::Uts => ", in a pod without hostNetwork",
        NamespaceKind::Pid => ", in a pod without hostPID",
        NamespaceKind::Ipc => ", in a pod without hostIPC",
        NamespaceKind::User => ", in a pod by hostUsers: false",
        _ => "",
    }
}

/// Those of `startContainer` are the image's programs, and run confined as it is.
fn hooks(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.hooks;
    let (Some(allowed), mode) = (rules.allow.clone(), rules.mode) else { return };
    for hook in Point::ALL
        .iter()
        .filter(|point| **point != Point::StartContainer)
        .flat_map(|point| plan.hooks.at(*point))
    {
        if !allowed.contains(&hook.path) {
            verdict.breach(Breach {
                rule: "hooks.allow",
                mode,
                at: format!("{}.path", hook.at),
                what: format!("{} would run as the caller on the host", hook.path),
                fix: "remove the hook, or list its program in the policy",
            });
        }
    }
}

/// What has to be there in the end, for it to be looked for.
pub fn required(policy: &Loaded) -> Vec<Layer> {
    let rules = &policy.policy;
    if rules.mode(None) == Mode::Warn {
        return Vec::new();
    }
    let mut layers = rules.require.clone().unwrap_or_default();
    if !ceilings::none(&rules.ceilings) && rules.mode(rules.ceilings.mode) != Mode::Warn {
        layers.push(Layer::Cgroup);
    }
    layers.sort_unstable();
    layers.dedup();
    layers
}
