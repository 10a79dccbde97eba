//! Changing the limits of a cgroup that is in use: all that are asked for, or none.

use super::create::enable;
use super::dirs::{Dirs, places};
use super::{apply, compare, failure, files};
use crate::error::Result;
use crate::plan::cgroup::{Layout, Otherwise, Setting, Version};

/// Writes new settings over those in force, in an order that the kernel accepts, and returns what was there
/// before, for [`restore`].
///
/// # Errors
/// The write that failed, with its field. What was written until then is taken back; if that fails too, the
/// error says which files keep their new values.
pub fn update(dirs: &Dirs, settings: &[Setting], layout: &Layout) -> Result<Vec<Setting>> {
    hand_on(dirs, settings, layout)?;
    let before: Vec<Setting> = settings.iter().rev().filter_map(|new| former(dirs, new)).collect();
    match apply(dirs, settings) {
        Ok(()) => Ok(before),
        Err(error) => Err(match restore(dirs, &before) {
            Ok(()) => error,
            Err(second) => error.and_then(second),
        }),
    }
}

/// Writes back what [`update`] found, where it is another value now.
///
/// # Errors
/// Those of [`apply`].
pub fn restore(dirs: &Dirs, before: &[Setting]) -> Result<()> {
    let changed = |old: &&Setting| former(dirs, old).is_none_or(|now| now.value != old.value);
    apply(dirs, &before.iter().filter(changed).cloned().collect::<Vec<_>>())
}

/// A v2 cgroup has a controller's files only if every cgroup above hands the controller on; at creation only
/// those were asked for that were needed then.
fn hand_on(dirs: &Dirs, settings: &[Setting], layout: &Layout) -> Result<()> {
    let Some(leaf) = dirs.v2() else { return Ok(()) };
    let cannot = |error| failure(format!("cannot hand controllers on to the cgroup {}", dirs.path), &error);
    let has = files::read(&leaf.fd, "cgroup.controllers").map_err(cannot)?;
    let missing: Vec<&str> = settings
        .iter()
        .map(|setting| setting.controller.as_str())
        .filter(|name| leaf.controllers.iter().any(|own| own == name))
        .filter(|name| !has.split_whitespace().any(|own| own == *name))
        .collect();
    let Some(place) = places(layout).find(|place| place.version == Version::V2 && !missing.is_empty()) else {
        return Ok(());
    };
    let mut dir = files::open_root(place.root).map_err(cannot)?;
    let mut at = place.root.to_owned();
    for (depth, name) in files::components(&dirs.path).map_err(cannot)?.iter().enumerate() {
        enable(&dir, &at, &missing, depth > 0)?;
        at = format!("{at}/{}", name.to_string_lossy());
        dir = files::open_dir(&dir, name).map_err(cannot)?;
    }
    Ok(())
}

/// The setting that writes what is in force now; `None` where no file can be read.
fn former(dirs: &Dirs, new: &Setting) -> Option<Setting> {
    let dir = dirs.of(&new.controller)?;
    let read = |file: &str| files::read(&dir.fd, file).ok();
    let (file, asked, text) = match (read(&new.file), &new.otherwise) {
        (Some(text), _) => (&new.file, &new.value, text),
        (None, Some(Otherwise::Write { file, value })) => (file, value, read(file)?),
        (None, _) => return None,
    };
    let asked = Setting { file: file.clone(), value: asked.clone(), ..new.clone() };
    Some(Setting { value: in_force(&asked, &text), otherwise: None, not_below: None, ..asked })
}

/// What has to be written for a file to say again what it says.
fn in_force(asked: &Setting, text: &str) -> String {
    let (found, _) = compare::holds(&asked.file, &asked.value, text);
    match (found, asked.line_key()) {
        // No line for a device is no limit for it.
        (None, Some(key)) => match asked.file.as_str() {
            "io.max" | "rdma.max" => {
                let words = asked.value.split_whitespace().skip(1);
                let names = words.filter_map(|word| word.split_once('=')).map(|(name, _)| name);
                names.fold(key.to_owned(), |line, name| format!("{line} {name}=max"))
            }
            file if file.contains("weight") => format!("{key} default"),
            _ => format!("{key} 0"),
        },
        // A list that is empty is written as an empty line: nothing at all would be no write.
        (found, _) => found.filter(|value| !value.is_empty()).unwrap_or_else(|| "\n".to_owned()),
    }
}
