//! What will be written, decided from what is there: a list of files with what they hold before and after. Nothing is
//! written here; `files` does that.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use toml::Table;

use super::edit;
use super::effective::{CRI, Effective, runtimes};
use super::handlers::{HANDLERS, OWNED, Setup, quoted, utf8};
use super::layout::Layout;
use crate::error::{Error, Kind, Result};

/// The files of a node, as far as they are read here.
pub trait Tree {
    /// The text of a file, none where there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn read(&self, path: &Path) -> Result<Option<String>>;
    /// The text as it is now, where [`Tree::read`] tells another.
    ///
    /// # Errors
    /// As for [`Tree::read`].
    fn now(&self, path: &Path) -> Result<Option<String>> {
        self.read(path)
    }
    /// The files that a pattern of containerd's matches, in order.
    fn matching(&self, pattern: &Path) -> Vec<PathBuf>;
    /// Whether there is such a directory.
    fn has_dir(&self, path: &Path) -> bool;
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file.
    Bytes(Vec<u8>),
    /// A symbolic link.
    Link(PathBuf),
}

/// One file, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What it holds afterwards; none if it is not there then.
    pub after: Option<Content>,
    /// Permissions if it is new; an existing file keeps its own.
    pub mode: u32,
    /// Directories that go with it when it goes and they are empty, the innermost first.
    pub dirs: Vec<PathBuf>,
}

impl File {
    pub(super) fn text(path: PathBuf, text: String) -> File {
        File { path, after: Some(Content::Bytes(text.into_bytes())), mode: 0o644, dirs: Vec::new() }
    }

    /// A file that is not there afterwards.
    pub(super) fn gone(path: PathBuf, dirs: Vec<PathBuf>) -> File {
        File { path, after: None, mode: 0, dirs }
    }
}

/// Where the handlers are said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file of ours, which another one may have to import.
    DropIn {
        /// Ours.
        file: PathBuf,
        /// The one that gets a line for it.
        imported_by: Option<PathBuf>,
    },
    /// In a marked block at the end of a file that is not ours: containerd 1.x replaces the whole section of a plugin by
    /// that of the file which it reads last, so a file of ours would have to repeat, and freeze, everything else in it.
    Block {
        /// That file.
        into: PathBuf,
    },
}

/// The name of the file of ours.
pub(super) const DROP_IN: &str = "sandrun.toml";
/// Said in it if its directory was made for it.
pub(super) const MADE_DIR: &str = "# Its directory was made for it.\n";
/// What k3s and RKE2 put in place of the configuration that they would have written.
pub(super) const BASE_TEMPLATE: &str = "{{ template \"base\" . }}\n";

/// Decides where the handlers go, for containerd of this major version.
///
/// # Errors
/// When a file cannot be read, or is no configuration of containerd's.
pub fn place(layout: &Layout, major: u32, tree: &dyn Tree) -> Result<Place> {
    if layout.merged.is_some() {
        return Ok(Place::DropIn { file: layout.drop_ins.join(DROP_IN), imported_by: None });
    }
    if major < 2 {
        let template = layout.templates.as_ref().map(|[old, _]| old.clone());
        let into = match template {
            Some(template) => template,
            None => owner(&layout.main, tree)?,
        };
        return Ok(Place::Block { into });
    }
    let text = tree.read(&layout.main)?.unwrap_or_default();
    let dir = layout.main.parent().unwrap_or(Path::new("/"));
    let patterns = edit::imported(&text).context_of(&layout.main)?;
    let imported =
        patterns.iter().map(|pattern| dir.join(pattern)).find(|pattern| pattern.ends_with("*.toml"));
    if let Some(file) = imported.map(|pattern| pattern.with_file_name(DROP_IN)) {
        return Ok(Place::DropIn { file, imported_by: None });
    }
    match &layout.templates {
        Some([_, new]) => Ok(Place::Block { into: new.clone() }),
        None => {
            let file = layout.drop_ins.join(DROP_IN);
            Ok(Place::DropIn { file, imported_by: Some(layout.main.clone()) })
        }
    }
}

/// The file whose CRI section containerd 1.x takes: the last one that it reads which has one, else `main`.
pub(super) fn owner(main: &Path, tree: &dyn Tree) -> Result<PathBuf> {
    let mut owner = main.to_owned();
    let mut seen = Vec::new();
    let mut pending = VecDeque::from([main.to_owned()]);
    while let Some(path) = pending.pop_front() {
        if seen.contains(&path) {
            continue;
        }
        let text = edit::without_block(&tree.read(&path)?.unwrap_or_default())?;
        if cri_plugin(&table(&text).context_of(&path)?).is_some() {
            owner.clone_from(&path);
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        for pattern in edit::imported(&text).context_of(&path)? {
            let pattern = dir.join(pattern);
            match pattern.to_string_lossy().contains('*') {
                true => pending.extend(tree.matching(&pattern)),
                false => pending.push_back(pattern),
            }
        }
        seen.push(path);
    }
    Ok(owner)
}

fn cri_plugin(table: &Table) -> Option<&'static str> {
    let plugins = table.get("plugins")?.as_table()?;
    CRI.into_iter().find(|name| plugins.contains_key(*name))
}

fn table(text: &str) -> Result<Table> {
    text.parse::<Table>()
        .map_err(|error| Error::new(Kind::Invalid, "cannot read containerd's configuration", error.message()))
}

/// The tables of the handlers, for a file of this text under containerd of this major version. `before` is what containerd
/// has now: where 1.x finds a table of runtimes, it forgets those that it has by itself, so they are said too.
fn block(setup: &Setup, text: &str, before: &Effective) -> Result<String> {
    let read = if text.contains("{{") { Table::new() } else { table(text)? };
    let version = read.get("version").and_then(toml::Value::as_integer);
    let plugin = match (before.plugin(), version) {
        (plugin, _) if plugin == CRI[0] => plugin,
        (_, None | Some(1)) if !text.contains("{{") => CRI[2],
        _ => CRI[1],
    };
    let known = runtimes(&read).map(|(_, runtimes)| runtimes);
    let mut tables = String::new();
    if plugin != CRI[0] && known.is_none() && !text.contains("{{") {
        tables = default_runtimes(plugin, before)?;
    }
    Ok(tables + &setup.tables(plugin)?)
}

fn default_runtimes(plugin: &str, before: &Effective) -> Result<String> {
    let mut runtimes = before.runtimes().cloned().unwrap_or_default();
    HANDLERS.iter().for_each(|handler| {
        runtimes.remove(handler.name);
    });
    let nested = ["runtimes", "containerd", plugin, "plugins"]
        .into_iter()
        .fold(runtimes, |inner, name| Table::from_iter([(name.to_owned(), toml::Value::Table(inner))]));
    toml::to_string(&nested)
        .map_err(|error| Error::new(Kind::Failed, "cannot write the node's own runtimes", error.to_string()))
}

/// The file in `place` with the handlers in it, and the one that imports it.
///
/// # Errors
/// When a file cannot be read, or is no configuration of containerd's.
pub fn configuration(
    layout: &Layout,
    place: &Place,
    setup: &Setup,
    before: &Effective,
    tree: &dyn Tree,
) -> Result<Vec<File>> {
    match place {
        Place::DropIn { file, imported_by } => {
            let mut files = vec![File::text(file.clone(), drop_in(layout, file, setup, before, tree)?)];
            if let Some(main) = imported_by {
                files.push(File::text(main.clone(), importing(main, file, before, tree)?));
            }
            Ok(files)
        }
        Place::Block { into } => {
            let text = match tree.read(into)? {
                Some(text) => edit::without_block(&text)?,
                None if layout.templates.is_some() => format!("{OWNED}{BASE_TEMPLATE}"),
                None => format!("{OWNED}{}version = 2\n", made_dir(into, tree)?),
            };
            let tables = block(setup, &text, before).context_of(into)?;
            Ok(vec![File::text(into.clone(), edit::with_block(&text, &tables))])
        }
    }
}

fn drop_in(
    layout: &Layout,
    file: &Path,
    setup: &Setup,
    before: &Effective,
    tree: &dyn Tree,
) -> Result<String> {
    // Beside a main configuration of version 2, containerd 2.1 forgets settings of it when it reads one of version 3.
    let base = table(&tree.read(layout.base())?.unwrap_or_default())?;
    let is_old = base.get("version").and_then(toml::Value::as_integer) == Some(2);
    let (version, plugin) = match before.plugin() == CRI[0] && !is_old {
        true => (3, CRI[0]),
        false => (2, CRI[1]),
    };
    let made = made_dir(file, tree)?;
    Ok(format!("{OWNED}{made}version = {version}\n\n{}", setup.tables(plugin)?))
}

/// The line for a file whose directory is made for it; a file that is there says it already.
fn made_dir(file: &Path, tree: &dyn Tree) -> Result<&'static str> {
    let made = match tree.now(file)? {
        Some(text) => text.contains(MADE_DIR),
        None => file.parent().is_some_and(|dir| !tree.has_dir(dir)),
    };
    Ok(if made { MADE_DIR } else { "" })
}

/// The main configuration with a line for the file of ours.
fn importing(main: &Path, file: &Path, before: &Effective, tree: &dyn Tree) -> Result<String> {
    let Some(text) = tree.read(main)? else {
        let version = if before.plugin() == CRI[0] { 3 } else { 2 };
        return Ok(format!("{OWNED}version = {version}\nimports = [{}]\n", quoted(utf8(file)?)));
    };
    match edit::imported(&text).context_of(main)?.iter().any(|path| Path::new(path) == file) {
        true => Ok(text),
        false => edit::with_import(&text, utf8(file)?).context_of(main),
    }
}

/// A configuration by which containerd shows, before anything is changed, what it would make of the change: its path and
/// text. The file with the handlers is imported by a copy of the main configuration.
///
/// # Errors
/// As for [`configuration`].
pub fn rehearsal(
    layout: &Layout,
    place: &Place,
    setup: &Setup,
    before: &Effective,
    tree: &dyn Tree,
) -> Result<Vec<(PathBuf, String)>> {
    let base = layout.base();
    let text = tree.read(base)?;
    let there = text.is_some();
    let text = text.unwrap_or_default();
    let copy = rehearsed(base, there, "config.toml");
    match place {
        Place::DropIn { file, .. } if layout.merged.is_none() => {
            let ours = rehearsed(base, there, DROP_IN);
            let text = match text.is_empty() {
                true => "version = 3\n".to_owned(),
                false => text,
            };
            let main = edit::with_import(&text, utf8(&ours)?).context_of(base)?;
            Ok(vec![(ours, drop_in(layout, file, setup, before, tree)?), (copy, main)])
        }
        Place::Block { into } if layout.templates.is_none() && into != base => {
            let ours = rehearsed(base, there, "owner.toml");
            let owner = edit::without_block(&tree.read(into)?.unwrap_or_default())?;
            let owner = edit::with_block(&owner, &block(setup, &owner, before)?);
            Ok(vec![(ours.clone(), owner), (copy, edit::with_import(&text, utf8(&ours)?)?)])
        }
        _ => {
            let text = edit::without_block(&text)?;
            let text = if text.is_empty() { "version = 2\n".to_owned() } else { text };
            let tables = block(setup, &text, before).context_of(base)?;
            Ok(vec![(copy, edit::with_block(&text, &tables))])
        }
    }
}

/// The name of a rehearsal's file: beside the main configuration, for what that imports may be relative to it, but where
/// there is none. No pattern for configurations matches it.
pub fn rehearsed(base: &Path, there: bool, name: &str) -> PathBuf {
    let dir = if there { base.parent().unwrap_or(Path::new("/")) } else { Path::new("/run") };
    dir.join(format!(".{name}{REHEARSAL}"))
}

/// How the names of a rehearsal's files end.
pub const REHEARSAL: &str = ".sandrun-rehearsal";

/// Names the file that an error is about.
pub(super) trait ContextOf<T> {
    fn context_of(self, path: &Path) -> Result<T>;
}

impl<T> ContextOf<T> for Result<T> {
    fn context_of(self, path: &Path) -> Result<T> {
        self.map_err(|error| Error { what: format!("{}: {}", path.display(), error.what), ..error })
    }
}
