//! What an update changes of a container's limits: those it names, and no others.

use oci_spec::runtime::LinuxResources;

use super::{Cgroup, Draft, Ignored, Layout, Pids, Setting, devices, limits, other};
use crate::error::Error;

const DEVICES: &str = "linux.resources.devices";
const PIDS: &str = "linux.resources.pids.limit";

/// The decision about an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The cgroup as it will be.
    pub cgroup: Cgroup,
    /// The files to write, in order.
    pub writes: Vec<Setting>,
    /// What is not done as asked, or takes a default of ours away.
    pub notes: Vec<Ignored>,
}

impl Cgroup {
    /// Decides an update: 0 and absent leave a limit as it is, −1 lifts it.
    ///
    /// # Errors
    /// As [`super::resolve`]; nothing is changed then.
    pub fn update(
        &self,
        resources: &LinuxResources,
        pids_limit: Option<i64>,
        layout: &Layout,
    ) -> Result<Update, Vec<Error>> {
        let mut draft = Draft { before: &self.settings, ..Draft::new(layout) };
        limits(Some(resources), Pids { limit: pids_limit, default: None }, &mut draft);
        if !draft.errors.is_empty() {
            return Err(draft.errors);
        }
        let Draft { settings: writes, ignored: mut notes, .. } = draft;
        if let Some(given) = resources.devices()
            && !devices::are_given_by(&self.devices.rules, given)
        {
            let why = "devices stay as they were when the container was created";
            notes.push(Ignored { at: DEVICES.to_owned(), why: why.to_owned() });
        }
        notes.extend(self.default_loosened(&writes));
        let cgroup = Cgroup { settings: merge(&self.settings, &writes), ..self.clone() };
        Ok(Update { cgroup, writes, notes })
    }

    /// The caller's word counts as that of `config.json` does; that it loosens what we chose is not to go unseen.
    fn default_loosened(&self, writes: &[Setting]) -> Option<Ignored> {
        let is_limit = |setting: &&Setting| setting.file == other::PIDS_FILE;
        let default = self.settings.iter().find(is_limit).filter(|setting| setting.at.is_none())?;
        let new = writes.iter().find(is_limit)?;
        let number = |setting: &Setting| setting.value.parse().unwrap_or(u64::MAX);
        if number(new) <= number(default) {
            return None;
        }
        let why = format!("the default limit of {} processes gave way to {}", default.value, new.value);
        Some(Ignored { at: PIDS.to_owned(), why })
    }
}

/// The settings in force once the new ones are written over the old.
fn merge(before: &[Setting], new: &[Setting]) -> Vec<Setting> {
    let kept =
        before.iter().filter_map(|old| new.iter().try_fold(old.clone(), |left, new| left.without(new)));
    kept.chain(new.iter().cloned()).collect()
}

impl Setting {
    /// What is left of this setting after another write; `None` if it is replaced as a whole. A file with a line
    /// for each device keeps the others, and of the same line the keys that are not written (`io.max`).
    fn without(self, new: &Setting) -> Option<Setting> {
        if (&self.controller, &self.file) != (&new.controller, &new.file) {
            return Some(self);
        }
        let lines = (self.line_key(), new.line_key());
        let (Some(own), Some(other)) = lines else { return None };
        if own != other {
            return Some(self);
        }
        let name = |word: &str| word.split_once('=').map(|(name, _)| name.to_owned());
        let written: Vec<_> = new.value.split_whitespace().filter_map(name).collect();
        let keep = |word: &&str| name(word).is_some_and(|name| !written.contains(&name));
        let left: Vec<&str> = self.value.split_whitespace().filter(keep).collect();
        let value = format!("{own} {}", left.join(" "));
        if left.is_empty() { None } else { Some(Setting { value, ..self }) }
    }

    /// The device or interface whose line this is, in a file that has one for each.
    pub fn line_key(&self) -> Option<&str> {
        let (key, _) = self.value.split_once(' ')?;
        let named = ["net_prio.ifpriomap", "rdma.max", "misc.max"].contains(&&*self.file);
        (named || key.contains(':')).then_some(key)
    }
}

#[cfg(test)]
mod tests;
