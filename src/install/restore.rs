//! What the files are without us: how an uninstallation leaves them, and what an installation starts from, so that nothing of
//! an earlier version, or of another place, stays.

use std::path::{Path, PathBuf};

use super::edit;
use super::handlers::{OWNED, utf8};
use super::layout::Layout;
use super::plan::{BASE_TEMPLATE, Content, ContextOf, DROP_IN, File, MADE_DIR, Tree, owner};
use crate::error::Result;

/// The configuration without anything that [`configuration`](super::plan::configuration) may have written into it, in whatever version of ours.
///
/// # Errors
/// When a configuration cannot be read; then nothing is to be removed, or containerd would look for what is not there.
pub fn restored(layout: &Layout, tree: &dyn Tree) -> Result<Vec<File>> {
    let edited = match &layout.templates {
        Some(templates) => templates.to_vec(),
        None => {
            let mut edited = vec![owner(&layout.main, tree)?, layout.main.clone()];
            edited.dedup();
            edited.retain(|path| !path.ends_with(DROP_IN));
            edited
        }
    };
    let mut drop_ins = vec![layout.drop_ins.join(DROP_IN)];
    let main = tree.read(&layout.main)?.unwrap_or_default();
    let dir = layout.main.parent().unwrap_or(Path::new("/"));
    let patterns = edit::imported(&main).context_of(&layout.main)?;
    drop_ins.extend(patterns.iter().map(|pattern| dir.join(pattern).with_file_name(DROP_IN)));
    let mut files = Vec::new();
    for path in edited {
        let Some(text) = tree.read(&path)? else { continue };
        let mut rest = edit::without_block(&text)?;
        if !rest.contains("{{") {
            for drop_in in &drop_ins {
                rest = edit::without(&rest, utf8(drop_in)?).context_of(&path)?;
            }
        }
        match rest.strip_prefix(OWNED) {
            Some(rest) if rest.lines().all(is_of_a_new_file) => {
                files.push(File::gone(path.clone(), dirs(&path, rest)))
            }
            Some(rest) => files.push(File::text(path, rest.to_owned())),
            None if rest != text => files.push(File::text(path, rest)),
            None => {}
        }
    }
    drop_ins.sort();
    drop_ins.dedup();
    for path in drop_ins {
        let Some(text) = tree.read(&path)?.filter(|text| text.starts_with(OWNED)) else { continue };
        let dirs =
            path.parent().filter(|_| text.contains(MADE_DIR)).map(Path::to_owned).into_iter().collect();
        files.push(File::gone(path, dirs));
    }
    Ok(files)
}

/// The directory that goes with a file of ours, of this text.
fn dirs(path: &Path, text: &str) -> Vec<PathBuf> {
    path.parent().filter(|_| text.contains(MADE_DIR)).map(Path::to_owned).into_iter().collect()
}

/// Whether a line is one that we write into a file where there was none.
fn is_of_a_new_file(line: &str) -> bool {
    line.starts_with("version = ")
        || line == BASE_TEMPLATE.trim_end()
        || line == MADE_DIR.trim_end()
        || line == "imports = []"
}

/// The files as they are once what others have in them is all that is in them.
pub struct Restored<'a> {
    tree: &'a dyn Tree,
    files: &'a [File],
}

impl<'a> Restored<'a> {
    /// `files` are those of [`restored`].
    pub fn new(tree: &'a dyn Tree, files: &'a [File]) -> Restored<'a> {
        Restored { tree, files }
    }
}

impl Tree for Restored<'_> {
    fn read(&self, path: &Path) -> Result<Option<String>> {
        match self.files.iter().find(|file| file.path == path).map(|file| &file.after) {
            None => self.tree.read(path),
            Some(Some(Content::Bytes(text))) => Ok(Some(String::from_utf8_lossy(text).into_owned())),
            Some(_) => Ok(None),
        }
    }

    fn now(&self, path: &Path) -> Result<Option<String>> {
        self.tree.read(path)
    }

    fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        self.tree.matching(pattern)
    }

    fn has_dir(&self, path: &Path) -> bool {
        self.tree.has_dir(path)
    }
}
