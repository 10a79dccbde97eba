//! `--pid-file`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Context, Result};

/// Writes the pid whole or not at all, and never through a link that somebody put there.
///
/// # Errors
/// When the directory cannot be written.
pub fn write(path: &Path, pid: i32) -> Result<()> {
    let what = || format!("cannot write the pid file {}", path.display());
    let name = path.file_name().ok_or("it has no file name").context(what)?;
    let temporary = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&temporary)
        .context(what)?;
    file.write_all(pid.to_string().as_bytes()).context(what)?;
    std::fs::rename(&temporary, path).context(what)
}
