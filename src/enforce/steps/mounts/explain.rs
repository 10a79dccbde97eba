//! What to do when the kernel refuses a mount.

use crate::error::Error;

/// Of a new filesystem.
pub(super) fn refused(fstype: &str, options: &[(String, Option<String>)], error: Error) -> Error {
    let why = error.why.clone();
    if matches!(fstype, "proc" | "sysfs") && why.contains("Operation not permitted") {
        return error.fix(hidden(fstype));
    }
    if fstype == "devpts" && why.contains("Invalid gid") {
        return error.fix("in a user namespace the group has to be mapped: map it, or remove the option gid");
    }
    if why.contains(", context=") {
        return error.fix("name a label that the loaded SELinux policy has in linux.mountLabel");
    }
    if why.contains("No such device") && why.starts_with("fsopen") {
        return error.fix(format!("this kernel has no filesystem {fstype}, or its module is not installed"));
    }
    if options.iter().any(|(key, _)| key == "lowerdir+") && why.contains("lowerdir+") {
        return error.fix("layers that are longer than 255 bytes together need Linux 6.7: use shorter paths");
    }
    error
}

/// In a user namespace the kernel refuses a new procfs or sysfs that would show more than the caller's own, over
/// which something is mounted (`mount_too_revealing`).
fn hidden(fstype: &str) -> String {
    let place = if fstype == "proc" { "/proc" } else { "/sys" };
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let over: Vec<&str> =
        points.filter(|point| point.strip_prefix(place).is_some_and(below)).take(4).collect();
    let found = match over.is_empty() {
        true => format!("none is mounted on the caller's {place}"),
        false => format!("mounted over the caller's are {}", over.join(", ")),
    };
    format!(
        "in a user namespace a new {fstype} needs the caller's own {place} with nothing mounted over it: {found}; \
         give the caller a {place} of its own, as `unshare --mount-proc` does, or bind one"
    )
}

fn below(rest: &str) -> bool {
    rest.starts_with('/')
}

/// Of other attributes for a mount.
pub(super) fn locked(error: Error) -> Error {
    match error.why.contains("Operation not permitted") {
        true => error.fix(
            "in a user namespace no mount of an outer one loses ro, nosuid, nodev, noexec or its access times: leave \
             out what takes them away (rw, suid, dev, exec, …), or mount the source without them",
        ),
        false => error,
    }
}
