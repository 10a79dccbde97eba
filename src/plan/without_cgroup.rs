//! A container of a caller who may make no cgroup, as most ordinary users may not.

use super::cgroup::{Cgroup, default_path};
use super::mounts::Source;
use super::namespaces::NamespaceKind;
use super::{Absent, Plan};
use crate::error::{Error, Kind, Result};

impl Plan {
    /// Goes on without a cgroup, which the caller may not make for the given reason: what sandrun adds of its
    /// own accord is listed as absent.
    ///
    /// # Errors
    /// What `config.json` asks for and only a cgroup can do, by field.
    pub fn give_up_cgroup(&mut self, why: &str) -> Result<()> {
        let refusals = indispensable(&self.cgroup, &self.id, why);
        if let Some(error) =
            Error::all(&format!("cannot run container {} without a cgroup", self.id), refusals)
        {
            return Err(error);
        }
        if !self.namespaces.is_new(NamespaceKind::Pid) {
            let what = "neither a cgroup nor a pid namespace of its own";
            return Err(Error::new(
                Kind::Unsupported,
                what,
                format!("nothing could end its processes; {why}"),
            )
            .at("linux.namespaces")
            .fix("add {\"type\": \"pid\"}"));
        }
        // In a user namespace no device node can be made, so the list of devices is not missed.
        let why =
            format!("no limits on memory, CPU and processes: {why}; run as root, or in a delegated cgroup");
        self.absent.push(Absent { layer: "cgroup".to_owned(), why });
        self.cgroup = Cgroup { ignored: std::mem::take(&mut self.cgroup.ignored), ..Default::default() };
        for mount in &mut self.mounts {
            if let Source::Cgroup { views, .. } = &mut mount.source {
                views.clear();
            }
        }
        Ok(())
    }
}

/// What of a cgroup a container cannot go on without, because `config.json` asks for it.
fn indispensable(cgroup: &Cgroup, id: &str, why: &str) -> Vec<Error> {
    let mut errors: Vec<Error> = Vec::new();
    if !cgroup.path.ends_with(&default_path(id)) {
        errors.push(
            Error::new(Kind::Unsupported, format!("cannot make the cgroup {}", cgroup.path), why)
                .at("linux.cgroupsPath")
                .fix("remove the field, or name a cgroup that is delegated to this user"),
        );
    }
    for setting in &cgroup.settings {
        let Some(at) = &setting.at else { continue };
        if errors.iter().all(|error| error.at.as_ref() != Some(at)) {
            errors.push(
                Error::new(Kind::Unsupported, "a limit that cannot be applied", why)
                    .at(at)
                    .fix("remove it, or name a cgroup that is delegated to this user in linux.cgroupsPath"),
            );
        }
    }
    errors
}
