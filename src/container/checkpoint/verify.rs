//! What the kernel says of restored processes, before any of them runs: no less than the plan, or they do not.

use std::collections::BTreeMap;

use super::mounts::Mounted;
use crate::enforce::receipt::{Receipt, State};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::caps::names;
use crate::plan::{Plan, Workload};

/// Compares every process with the plan.
///
/// # Errors
/// The first difference.
pub fn processes(workload: &Workload, pids: &[i32], receipt: &mut Receipt) -> Result<()> {
    for &pid in pids {
        process(workload, &Status::read(pid)?)?;
    }
    let count = pids.len();
    let given = match workload.capabilities.bounding {
        0 => "none".to_owned(),
        bounding => names(bounding).join(", "),
    };
    receipt.add("capabilities", State::Enforced, format!("at most, of {count} processes: {given}"));
    match workload.no_new_privs {
        true => receipt.add("no_new_privs", State::Enforced, "execve adds no privileges"),
        false => receipt.add("no_new_privs", State::Absent, "config.json does not ask for it"),
    }
    match workload.seccomp.len() {
        0 => receipt.add("seccomp", State::Absent, "config.json has no profile, and level oci adds none"),
        filters => {
            receipt.add("seccomp", State::Enforced, format!("{filters} in force, as it was checkpointed"))
        }
    }
    if workload.new_keyring {
        receipt.add("keyring", State::Partial, "a new one, and empty: keys are not part of a checkpoint");
    }
    Ok(())
}

fn process(workload: &Workload, status: &Status) -> Result<()> {
    let planned = &workload.capabilities;
    let most = planned.bounding | planned.permitted | planned.inheritable;
    for (set, ceiling) in [
        ("CapBnd", planned.bounding),
        ("CapPrm", most),
        ("CapEff", most),
        ("CapInh", most),
        ("CapAmb", planned.ambient | planned.inheritable),
    ] {
        let found = status.mask(set)?;
        if found & !ceiling != 0 {
            return Err(status.differs(set, &names(found & !ceiling).join(", ")));
        }
    }
    if workload.no_new_privs && status.number("NoNewPrivs")? != 1 {
        return Err(status.differs("NoNewPrivs", "0"));
    }
    let filters = workload.seccomp.len() as u64;
    if filters > 0 && (status.number("Seccomp")? != 2 || status.number("Seccomp_filters")? < filters) {
        return Err(status.differs("Seccomp_filters", &status.number("Seccomp_filters")?.to_string()));
    }
    Ok(())
}

/// `/proc/PID/status`, read from outside the container.
struct Status {
    pid: i32,
    fields: BTreeMap<String, String>,
}

impl Status {
    fn read(pid: i32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .context(|| format!("cannot look at the restored process {pid}"))?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Ok(Self { pid, fields: text.lines().filter_map(field).collect() })
    }

    fn text(&self, name: &str) -> Result<&str> {
        let value = self.fields.get(name).map(String::as_str);
        value.ok_or("the kernel does not say").context(|| format!("no {name} of process {}", self.pid))
    }

    fn mask(&self, name: &str) -> Result<u64> {
        u64::from_str_radix(self.text(name)?, 16).context(|| format!("{name} of process {}", self.pid))
    }

    fn number(&self, name: &str) -> Result<u64> {
        self.text(name)?.parse().context(|| format!("{name} of process {}", self.pid))
    }

    fn differs(&self, name: &str, found: &str) -> Error {
        let what = format!("process {} was restored with more than its container has", self.pid);
        Error::new(Kind::Failed, what, format!("{name}: {found}"))
    }
}

/// Compares the mounts with those at the checkpoint: none may be missing, added, or have other options.
///
/// # Errors
/// The first difference.
pub fn mounts(recorded: &[Mounted], found: &[Mounted], receipt: &mut Receipt) -> Result<()> {
    let of = |mounted: &Mounted| {
        let words = mounted.options.iter().chain(&mounted.propagation);
        let options: Vec<&str> = words.map(String::as_str).collect();
        format!("{} ({}: {})", mounted.point, mounted.fstype, options.join(","))
    };
    let sorted = |table: &[Mounted]| {
        let mut lines: Vec<String> = table.iter().map(of).collect();
        lines.sort();
        lines
    };
    let (before, after) = (sorted(recorded), sorted(found));
    if let Some((was, is)) = before.iter().zip(&after).find(|(was, is)| was != is) {
        let why = format!("{was} at the checkpoint, {is} now");
        return Err(Error::new(Kind::Failed, "a mount was not restored as it was", why));
    }
    if before.len() != after.len() {
        let why = format!("{} at the checkpoint, {} now", before.len(), after.len());
        return Err(Error::new(Kind::Failed, "not every mount was restored", why));
    }
    receipt.add("mounts", State::Enforced, format!("{} as at the checkpoint", after.len()));
    Ok(())
}

/// Compares the label of the first process with the plan, or with what the caller asked for instead.
///
/// # Errors
/// Another label.
pub fn label(plan: &Plan, pid: i32, instead: Option<&str>, receipt: &mut Receipt) -> Result<()> {
    let workload = &plan.workload;
    let planned = workload.apparmor_profile.as_ref().or(workload.selinux_label.as_ref());
    let asked = instead.and_then(|text| text.split_once(':')).map(|(_, name)| name);
    let Some(wanted) = asked.or(planned.map(String::as_str)) else { return Ok(()) };
    let found = std::fs::read_to_string(format!("/proc/{pid}/attr/current"))
        .context(|| format!("cannot read the label of process {pid}"))?;
    let found = found.trim_end_matches(['\0', '\n']);
    // AppArmor adds its mode.
    if found.split(" (").next() != Some(wanted) {
        let why = format!("{found:?}, not {wanted:?}");
        return Err(Error::new(Kind::Failed, "the security label was not restored", why));
    }
    receipt.add("label", State::Enforced, found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::seccomp::Filter;

    fn status(text: &str) -> Status {
        let fields = text.split(' ').filter_map(|field| field.split_once('='));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Status { pid: 1, fields }
    }

    #[test]
    fn a_process_with_more_than_planned_is_found() {
        let mut workload = Workload { no_new_privs: true, ..Workload::default() };
        workload.capabilities.bounding = 0x20;
        workload.capabilities.permitted = 0x20;
        workload.seccomp.push(Filter::baseline());
        let whole = "CapInh=0 CapPrm=20 CapEff=0 CapBnd=20 CapAmb=0 NoNewPrivs=1 Seccomp=2 Seccomp_filters=1";
        process(&workload, &status(whole)).unwrap();
        for (field, worse) in [
            ("CapBnd=20", "CapBnd=60"),
            ("CapPrm=20", "CapPrm=21"),
            ("CapEff=0", "CapEff=200000"),
            ("CapInh=0", "CapInh=1"),
            ("CapAmb=0", "CapAmb=20"),
            ("NoNewPrivs=1", "NoNewPrivs=0"),
            ("Seccomp=2", "Seccomp=0"),
            ("Seccomp_filters=1", "Seccomp_filters=0"),
            ("Seccomp_filters=1", "Other=1"),
        ] {
            let found = process(&workload, &status(&whole.replace(field, worse)));
            assert!(found.is_err(), "{worse} passed");
        }
    }

    #[test]
    fn a_mount_with_other_options_is_found() {
        let mount = |point: &str, options: &[&str], propagation: &[&str]| Mounted {
            number: 0,
            device: String::new(),
            root: "/".to_owned(),
            point: point.to_owned(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
            propagation: propagation.iter().map(|word| (*word).to_owned()).collect(),
            fstype: "tmpfs".to_owned(),
        };
        let recorded = [mount("/a", &["ro", "nosuid"], &[]), mount("/b", &["rw"], &["master"])];
        let compare = |found: &[Mounted]| mounts(&recorded, found, &mut Receipt::default());
        compare(&recorded).unwrap();
        let [a, b] = &recorded;
        compare(&[b.clone(), a.clone()]).unwrap();
        assert!(compare(std::slice::from_ref(a)).is_err(), "one is missing");
        assert!(compare(&[mount("/a", &["rw", "nosuid"], &[]), b.clone()]).is_err(), "one can be written");
        assert!(compare(&[a.clone(), mount("/b", &["rw"], &["shared"])]).is_err(), "one reaches the host");
    }
}
