//! The programs and the options of the handlers: which files, and which of them were not there before us.

use std::path::{Path, PathBuf};

use super::handlers::{HANDLERS, OPTIONS_DIR, OWNED, PROGRAM, SHIM, Setup, Via, utf8};
use super::plan::{Content, File};
use crate::error::Result;

/// The programs as they come with this one.
#[derive(Debug)]
pub struct Programs {
    /// The runtime.
    pub runtime: Vec<u8>,
    /// The shim.
    pub shim: Vec<u8>,
}

/// Names the programs that were not there before, one path a line: those that go with `sandrun uninstall`.
pub fn record_file() -> PathBuf {
    Path::new(OPTIONS_DIR).join("programs")
}

/// What the record names.
pub fn recorded(record: Option<&str>) -> Vec<PathBuf> {
    record.into_iter().flat_map(str::lines).filter(|line| line.starts_with('/')).map(PathBuf::from).collect()
}

/// The files of `setup`. `differs` tells of a program whether another one, or none, is in its place.
///
/// # Errors
/// When a path is not valid UTF-8.
pub fn installed(
    setup: &Setup,
    programs: Programs,
    record: Option<&str>,
    differs: impl Fn(&File) -> bool,
) -> Result<Vec<File>> {
    let program = |name: &str, after: Content| File {
        path: setup.bin_dir.join(name),
        after: Some(after),
        mode: 0o755,
        dirs: Vec::new(),
    };
    let mut files = vec![
        program(PROGRAM, Content::Bytes(programs.runtime)),
        program(SHIM, Content::Bytes(programs.shim)),
    ];
    let named = setup.handlers.iter().filter(|handler| setup.via == Via::RuncShim && handler.name != PROGRAM);
    files.extend(named.map(|handler| program(handler.name, Content::Link(PROGRAM.into()))));
    let mut ours = recorded(record);
    ours.extend(files.iter().filter(|file| differs(file)).map(|file| file.path.clone()));
    ours.sort();
    ours.dedup();
    let mut list = OWNED.to_owned();
    for path in &ours {
        list += utf8(path)?;
        list.push('\n');
    }
    // First, so that a program is never there without being named.
    files.insert(0, File::text(record_file(), list));
    let with_options = setup.handlers.iter().filter(|_| setup.via == Via::Shim);
    files.extend(
        with_options.map(|&handler| File::text(Setup::options_file(handler), setup.options(handler))),
    );
    Ok(files)
}

/// What removes them; the record goes last.
pub fn removed(record: Option<&str>) -> Vec<File> {
    let dir = Path::new(OPTIONS_DIR);
    let dirs: Vec<PathBuf> = [Some(dir), dir.parent()].into_iter().flatten().map(Path::to_owned).collect();
    let programs = recorded(record).into_iter().map(|path| File::gone(path, Vec::new()));
    let options = HANDLERS.map(|handler| File::gone(Setup::options_file(handler), Vec::new()));
    programs.chain(options).chain([File::gone(record_file(), dirs)]).collect()
}
