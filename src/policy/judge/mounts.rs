//! `[mounts]`: what of the host is bound, and what is mounted anew.

use std::path::Path;

use super::{Breach, Case, Verdict};
use crate::plan::mounts::{Mount, Propagation, RDONLY, Source};
use crate::plan::{Change, Plan};
use crate::policy::facts::{Facts, Lead};

/// Sockets by which a container engine takes orders as root, where links do not lead there.
const ENGINE_SOCKETS: [&str; 9] = [
    "/run/buildkit/buildkitd.sock",
    "/run/containerd/containerd.sock",
    "/run/containerd/containerd.sock.ttrpc",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/docker.sock",
    "/run/k0s/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/podman/podman.sock",
];

/// How a rule sees a place.
enum Place {
    Allowed,
    AllowedReadOnly,
    Other,
}

pub(super) fn judge(case: &Case<'_>, plan: &mut Plan, verdict: &mut Verdict<'_>) {
    let rules = verdict.policy.policy.mounts.clone();
    let mode = rules.mode;
    for (index, lead) in &case.facts.sources {
        let readonly = stays_readonly(plan, *index);
        let Some(mount) = plan.mounts.get_mut(*index) else { continue };
        let at = format!("{}.source", mount.at);
        let real = match fix(mount, lead) {
            Ok(real) => real,
            Err(what) => {
                verdict.breach(Breach {
                    rule: "mounts.allow",
                    mode,
                    at,
                    what,
                    fix: "name a path that is there",
                });
                continue;
            }
        };
        if let Lead::Nowhere(why) = lead {
            let what = format!("{} cannot be looked at ({why}): judged as it is written", real.display());
            plan.changes.push(Change { at: at.clone(), what });
        }
        let listed = rules.allow.is_some() || rules.allow_read_only.is_some();
        let place = if listed { place(case.facts, &real) } else { Place::Allowed };
        match place {
            Place::Allowed => {}
            Place::AllowedReadOnly if readonly => only_read(mount, &mut plan.changes),
            Place::AllowedReadOnly => verdict.breach(Breach {
                rule: "mounts.allow-read-only",
                mode,
                at: at.clone(),
                what: format!("{} of the host is bound to be written to", real.display()),
                fix: "add the option ro, in a pod readOnly: true",
            }),
            Place::Other => verdict.breach(Breach {
                rule: "mounts.allow",
                mode,
                at: at.clone(),
                what: format!("{} of the host is bound", real.display()),
                fix: "use a volume of another kind than hostPath, or have the place listed in the policy",
            }),
        }
        let socket = ENGINE_SOCKETS.iter().find(|socket| Path::new(socket).starts_with(&real));
        if let Some(socket) = socket.filter(|_| rules.engine_sockets == Some(false)) {
            verdict.breach(Breach {
                rule: "mounts.engine-sockets",
                mode,
                at,
                what: format!("{} holds {socket}, by which anything can be run as root", real.display()),
                fix: "leave it out: a container engine's socket is root on the host",
            });
        }
    }
    filesystems(plan, verdict);
    shared(plan, verdict);
}

/// Where a mount leads, from here on for good.
fn fix(mount: &mut Mount, lead: &Lead) -> Result<std::path::PathBuf, String> {
    let Source::Bind { path, judged, .. } = &mut mount.source else { return Err("no bind mount".to_owned()) };
    *judged = true;
    match lead {
        Lead::To(real) => {
            *path = real.to_str().ok_or_else(|| format!("{} is not UTF-8", real.display()))?.to_owned();
            Ok(real.clone())
        }
        // Should it be there when it is mounted, it is judged as it is written.
        Lead::Nowhere(_) if !path.split('/').any(|part| part == "..") => Ok(path.clone().into()),
        Lead::Nowhere(why) => Err(format!("nobody can tell where {path} leads ({why})")),
    }
}

fn place(facts: &Facts, real: &Path) -> Place {
    let holds = |list: &[std::path::PathBuf]| list.iter().any(|allowed| real.starts_with(allowed));
    match (holds(&facts.allowed), holds(&facts.allowed_read_only)) {
        (true, _) => Place::Allowed,
        (_, true) => Place::AllowedReadOnly,
        _ => Place::Other,
    }
}

/// Whether a mount is read-only in the end: a later entry may change what is mounted at the same place.
fn stays_readonly(plan: &Plan, index: usize) -> bool {
    let Some(mount) = plan.mounts.get(index) else { return false };
    let again = plan.mounts.iter().skip(index + 1);
    let undone = again
        .filter(|it| matches!(it.source, Source::Remount { .. }))
        .any(|it| it.destination == mount.destination && (it.clear | it.clear_recursive) & RDONLY != 0);
    mount.is_readonly() && !undone
}

/// `ro` alone leaves the mounts below as they are.
fn only_read(mount: &mut Mount, changes: &mut Vec<Change>) {
    if mount.set_recursive & RDONLY == 0 {
        mount.set_recursive |= RDONLY;
        mount.clear_recursive &= !RDONLY;
        let what = "rro added: the policy allows the place to be read, with all that is mounted below";
        changes.push(Change { at: format!("{}.options", mount.at), what: what.to_owned() });
    }
}

fn filesystems(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.mounts;
    let (Some(allowed), mode) = (rules.filesystems.clone(), rules.mode) else { return };
    for mount in &plan.mounts {
        let Source::Filesystem { fstype, .. } = &mount.source else { continue };
        if !allowed.contains(fstype) {
            verdict.breach(Breach {
                rule: "mounts.filesystems",
                mode,
                at: format!("{}.type", mount.at),
                what: format!("a new {fstype} on {}", mount.destination),
                fix: "let the engine mount it, and bind it from a place that the policy allows",
            });
        }
    }
}

fn shared(plan: &Plan, verdict: &mut Verdict<'_>) {
    let rules = &verdict.policy.policy.mounts;
    let mode = rules.mode;
    if rules.shared != Some(false) {
        return;
    }
    let is_shared = |propagation: &(Propagation, bool)| propagation.0 == Propagation::Shared;
    let mounts = plan.mounts.iter().filter(|mount| mount.propagation.iter().any(is_shared));
    let mut places: Vec<String> = mounts.map(|mount| format!("{}.options", mount.at)).collect();
    if plan.rootfs.propagation == Propagation::Shared {
        places.push("linux.rootfsPropagation".to_owned());
    }
    for at in places {
        verdict.breach(Breach {
            rule: "mounts.shared",
            mode,
            at,
            what: "mounts made inside would appear on the host".to_owned(),
            fix: "use slave or private, in a pod mountPropagation other than Bidirectional",
        });
    }
}
