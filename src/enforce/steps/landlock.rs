//! The Landlock domain.

use std::path::Path;

use landlock::{
    AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};

use rustix::fs::OFlags;

use crate::enforce::init::Init;
use crate::enforce::root::{Root, host, is_dir};
use crate::error::{Cause, Context, Error, Kind, Result};
use crate::plan::Workload;
use crate::plan::landlock::Landlock;
use crate::sys::mount::new_filesystem;

/// Rights that apply to a file; the others are of directories.
const FILE_RIGHTS: u64 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;

/// Makes a directory that is in no tree of the container, to try the domain on; it takes root of the mount
/// namespace, and is gone before the program runs.
pub fn prepare(workload: &Workload, init: &mut Init) -> Result<()> {
    if workload.landlock.is_some() {
        let outside = new_filesystem("tmpfs", None, &[], 0);
        init.outside = Some(outside.context(|| "cannot make a directory to try Landlock on".to_owned())?);
    }
    Ok(())
}

/// Enters the domain; what is not beneath its rules is out of reach from here on.
///
/// The plan was made for this kernel's ABI: a right that the kernel does not know is an error, not less.
pub fn restrict(workload: &Workload, _: &mut Init) -> Result<()> {
    let Some(plan) = &workload.landlock else { return Ok(()) };
    let what = || "cannot restrict the process by Landlock".to_owned();
    let status = enter(plan).map_err(|cause| Error::new(cause.kind, what(), cause.why))?;
    if status == RulesetStatus::FullyEnforced {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, what(), "the kernel enforces only a part of the rules"))
}

fn enter(plan: &Landlock) -> Result<RulesetStatus, Cause> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(rights(plan.handled_access_fs))?;
    if plan.scoped != 0 {
        ruleset = ruleset.scope(BitFlags::<Scope>::from_bits_truncate(plan.scoped))?;
    }
    let mut ruleset = ruleset.create()?;
    // The workload of an exec has had time to put links in the way; none may lead out by way of /proc.
    let root = Root::new(host(Path::new("/"), false)?);
    for rule in &plan.path_beneath {
        let path = root.open(&rule.path, OFlags::PATH)?;
        let mask = if is_dir(&path) { u64::MAX } else { FILE_RIGHTS };
        let access = rights(rule.allowed_access & mask);
        if !access.is_empty() {
            ruleset = ruleset.add_rule(PathBeneath::new(path, access))?;
        }
    }
    // That is a step of its own, which not every plan has.
    Ok(ruleset.no_new_privs(false).restrict_self()?.ruleset)
}

fn rights(bits: u64) -> BitFlags<AccessFs> {
    BitFlags::from_bits_truncate(bits)
}

impl From<RulesetError> for Cause {
    fn from(source: RulesetError) -> Self {
        Cause { kind: Kind::Failed, why: source.to_string() }
    }
}
