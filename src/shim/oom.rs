//! Hearing that the kernel killed something for want of memory, while a container goes on.

use std::os::fd::AsFd;
use std::sync::{Mutex, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::pod::Pod;
use super::service::lock;
use crate::cgroup::{Dirs, OomWatch, detect};
use crate::error::{Context, Result};
use crate::plan::cgroup::Version;
use crate::sys::watch::Watched;

/// On cgroup v1 the kernel says that memory ran out before it kills: when to look whether it did.
const LOOKS: [u64; 5] = [0, 5, 20, 100, 500];

/// Watches the cgroup of a container, until the handle is used; none without a memory controller.
///
/// # Errors
/// `Failed` if the kernel refuses.
pub fn watch(pod: Weak<Mutex<Pod>>, id: &str, cgroup: &str) -> Result<Option<AbortHandle>> {
    let layout = detect()?;
    let Some(watch) = OomWatch::new(&Dirs::open(cgroup, &layout)?)? else { return Ok(None) };
    let what = || format!("cannot watch the memory of container {id}");
    let interest = match layout.version_of("memory") {
        Some(Version::V2) => Interest::PRIORITY,
        _ => Interest::READABLE,
    };
    let watched = watch
        .poll_fd()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| Watched::new(fd, interest))
        .context(what)?;
    let task = tokio::spawn(hear(pod, id.to_owned(), watch, watched, interest));
    Ok(Some(task.abort_handle()))
}

async fn hear(pod: Weak<Mutex<Pod>>, id: String, mut watch: OomWatch, watched: Watched, interest: Interest) {
    while let Ok(mut ready) = watched.ready(interest).await {
        ready.clear_ready();
        // What cannot be read is told at the end, if at all.
        if watch.happened().unwrap_or_default() == 0 {
            continue;
        }
        for pause in LOOKS {
            sleep(Duration::from_millis(pause)).await;
            let Some(pod) = pod.upgrade() else { return };
            if lock(&pod).tell_oom(&id) {
                break;
            }
        }
    }
}
