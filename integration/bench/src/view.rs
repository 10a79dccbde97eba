//! Views of the cgroup filesystem, each in a mount namespace of its own.

use std::path::Path;
use std::process::Command;

use crate::measure::interrupted;
use crate::options::Options;

const HYBRID: &str = "/sys/fs/cgroup/unified/cgroup.controllers";

/// Makes the view in the mount namespace of a shell, which then becomes the copy of this program.
fn preparation(view: &str) -> Option<&'static str> {
    match view {
        "host" => Some("true"),
        // crun takes the empty mount point for a hierarchy of v1, and makes directories in it: in one of our own.
        "v1" => Some("umount /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified"),
        "v2" => Some("umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
        _ => None,
    }
}

/// Measures in each view that was asked for, or that this host can show.
pub fn each(options: &Options) -> Result<(), String> {
    let hybrid = Path::new(HYBRID).exists();
    let shown = if hybrid { vec!["host", "v1", "v2"] } else { vec!["host"] };
    let views =
        if options.views.is_empty() { shown } else { options.views.iter().map(String::as_str).collect() };
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    for view in views {
        if interrupted() {
            break;
        }
        let preparation = preparation(view).ok_or_else(|| format!("{view}: not one of host, v1, v2"))?;
        let script = format!("{preparation} && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(&own).args(options.for_view(view));
        let status = command.status().map_err(|error| format!("unshare: {error}"))?;
        if !status.success() {
            return Err(format!("view {view}: {status}"));
        }
    }
    Ok(())
}
