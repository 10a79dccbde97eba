//! The action `delete`: a server is gone, killed perhaps, and what it has left goes too. There is nothing to go by but the
//! bundle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message, MessageField};

use super::flags::Flags;
use super::options::Settings;
use super::process::timestamp;
use crate::container::delete::delete as remove;
use crate::container::rootfs;
use crate::container::state::Lock;
use crate::container::status::find;
use crate::error::{Context, Result};
use crate::sys::process::SIGKILL;

/// Where a bundle says under which root its container is kept.
const ROOT: &str = "sandrun.root";

/// Notes in a bundle what has to be known of its container without a server.
///
/// # Errors
/// When the bundle cannot be written.
pub fn note(bundle: &Path, settings: &Settings) -> Result<()> {
    let path = bundle.join(ROOT);
    std::fs::write(&path, settings.root.as_os_str().as_encoded_bytes())
        .context(|| format!("cannot write {}", path.display()))
}

/// Kills and removes what is left of the container, and prints how it ended.
///
/// # Errors
/// When something stays.
pub fn delete(flags: &Flags) -> Result<()> {
    let current = std::env::current_dir().context(|| "cannot find the current directory".to_owned());
    // containerd 2.1 names another container's bundle beside the directory that it starts this in.
    let bundle = match flags.bundle.as_str() {
        "" => current?.parent().unwrap_or(Path::new("/")).join(&flags.id),
        bundle => PathBuf::from(bundle),
    };
    let root = match std::fs::read_to_string(bundle.join(ROOT)) {
        Ok(root) => PathBuf::from(root),
        Err(_) => Settings::read(None, &flags.namespace)?.root,
    };
    let pid = find(&root, &flags.id, Lock::None).ok().and_then(|found| found.record.process).map_or(0, |it| it.pid);
    let removed = remove(&root, &flags.id, true);
    let unmounted = rootfs::unmount(&bundle.join("rootfs"));
    for error in removed? {
        eprintln!("{error}");
    }
    unmounted?;
    let response = DeleteResponse {
        pid: u32::try_from(pid).unwrap_or(0),
        exit_status: 128 + SIGKILL.unsigned_abs(),
        exited_at: MessageField::some(timestamp(SystemTime::now())),
        ..DeleteResponse::default()
    };
    let what = || "cannot print the answer".to_owned();
    let bytes = response.write_to_bytes().map_err(|error| error.to_string()).context(what)?;
    std::io::stdout().write_all(&bytes).context(what)
}
