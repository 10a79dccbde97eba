//! Writes files so that nobody ever reads half of one, and puts all of them back if one cannot be written.

use std::fs::{self, File as Handle, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use super::plan::{Content, File, REHEARSAL, Tree};
use crate::error::{Context, Error, Result};

/// The file system of the node.
pub struct Disk;

impl Tree for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Patterns have one `*`, in the last part, as those of containerd's packages and distributions have.
    fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        let name = pattern.file_name().unwrap_or_default().to_string_lossy();
        let Some((start, end)) = name.split_once('*') else { return Vec::new() };
        let entries = pattern.parent().and_then(|dir| fs::read_dir(dir).ok());
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        let matches = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        };
        let mut found: Vec<PathBuf> = paths.filter(matches).collect();
        found.sort();
        found
    }

    fn has_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// What is at a path now; a link counts as one only where a link belongs, else what it leads to.
fn content(path: &Path, link: bool) -> Result<Option<Content>> {
    let what = || format!("cannot read {}", path.display());
    let found = match link && path.is_symlink() {
        true => fs::read_link(path).map(Content::Link),
        false => fs::read(path).map(Content::Bytes),
    };
    match found {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(what),
    }
}

/// What is where this file will be.
///
/// # Errors
/// When it is there and cannot be read.
pub fn present(file: &File) -> Result<Option<Content>> {
    content(&file.path, matches!(file.after, Some(Content::Link(_)) | None))
}

/// Files that were written, and what was there before: until they are kept, they can be put back.
#[derive(Debug, Default)]
pub struct Written {
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Content { path: PathBuf, before: Option<Content>, mode: u32 },
    MadeDir(PathBuf),
    RemovedDir(PathBuf),
}

impl Written {
    /// Writes the files that differ from what is there, in order.
    ///
    /// # Errors
    /// When one cannot be written; those before it, and of earlier calls, are put back then.
    pub fn write(&mut self, files: &[File]) -> Result<()> {
        for file in files {
            if let Err(error) = self.write_one(file) {
                return Err(match self.put_back() {
                    Ok(()) => error,
                    Err(second) => error.and_then(second),
                });
            }
        }
        Ok(())
    }

    fn write_one(&mut self, file: &File) -> Result<()> {
        let before = present(file)?;
        if before != file.after {
            let mode = fs::metadata(&file.path).map_or(file.mode, |found| found.mode() & 0o7777);
            self.make_dirs(file.path.parent())?;
            self.undo.push(Undo::Content { path: file.path.clone(), before, mode });
            put(&file.path, file.after.as_ref(), file.mode)?;
        }
        for dir in file.dirs.iter().filter(|_| file.after.is_none()) {
            // Not empty, not there, a mount point: then it is not only ours.
            if fs::remove_dir(dir).is_err() {
                break;
            }
            self.undo.push(Undo::RemovedDir(dir.clone()));
        }
        Ok(())
    }

    fn make_dirs(&mut self, dir: Option<&Path>) -> Result<()> {
        let Some(dir) = dir.filter(|dir| !dir.exists()) else { return Ok(()) };
        self.make_dirs(dir.parent())?;
        fs::create_dir(dir).context(|| format!("cannot make the directory {}", dir.display()))?;
        self.undo.push(Undo::MadeDir(dir.to_owned()));
        Ok(())
    }

    /// Whether anything was written.
    pub fn anything(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Undoes everything, the last first.
    ///
    /// # Errors
    /// All that could not be put back; the rest is.
    pub fn put_back(&mut self) -> Result<()> {
        let errors = self.undo.drain(..).rev().filter_map(|undo| match undo {
            Undo::Content { path, before, mode } => put(&path, before.as_ref(), mode).err(),
            Undo::MadeDir(dir) => {
                fs::remove_dir(&dir).context(|| format!("cannot remove {}", dir.display())).err()
            }
            Undo::RemovedDir(dir) => {
                fs::create_dir(&dir).context(|| format!("cannot make {}", dir.display())).err()
            }
        });
        Error::all("cannot put everything back", errors.collect()).map_or(Ok(()), Err)
    }
}

/// The name under which a file is written before it takes its place. No pattern for configurations matches it.
fn fresh(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}{FRESH}", path.file_name().unwrap_or_default().to_string_lossy()))
}

const FRESH: &str = ".sandrun-new";

/// Removes what a run that was killed has left in a directory.
///
/// # Errors
/// When one cannot be removed.
pub fn sweep(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') && (name.ends_with(FRESH) || name.ends_with(REHEARSAL))
    };
    entries.map(|entry| entry.path()).filter(is_left).try_for_each(|path| remove(&path))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error)
            if !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Err(error).context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Where a path leads: the link stays, and what it leads to is replaced.
fn real(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error).context(|| format!("cannot follow {}", path.display())),
    }
}

fn put(path: &Path, content: Option<&Content>, mode: u32) -> Result<()> {
    match content {
        None => remove(path)?,
        Some(Content::Link(target)) => {
            let fresh = fresh(path);
            remove(&fresh)?;
            let what = || format!("cannot make the link {}", path.display());
            symlink(target, &fresh).context(what)?;
            fs::rename(&fresh, path).context(what)?;
        }
        Some(Content::Bytes(bytes)) => replace(&real(path)?, bytes, mode)?,
    }
    sync_dir(path.parent())
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let fresh = fresh(path);
    remove(&fresh)?;
    let written = write_fresh(&fresh, path, bytes, mode).and_then(|()| fs::rename(&fresh, path));
    written.context(|| format!("cannot write {}", path.display())).map_err(|error| match remove(&fresh) {
        Ok(()) => error,
        Err(second) => error.and_then(second),
    })
}

/// With owner and permissions of the file that it will replace.
fn write_fresh(fresh: &Path, path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(bytes)?;
    let mode = match fs::metadata(path) {
        Ok(found) => {
            fchown(&file, Some(found.uid()), Some(found.gid()))?;
            found.mode() & 0o7777
        }
        Err(_) => mode,
    };
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn sync_dir(dir: Option<&Path>) -> Result<()> {
    let Some(dir) = dir.filter(|dir| dir.is_dir()) else { return Ok(()) };
    Handle::open(dir).and_then(|dir| dir.sync_all()).context(|| format!("cannot sync {}", dir.display()))
}
