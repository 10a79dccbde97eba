//! The short ones of `linux.resources`: pids, hugepageLimits, network, rdma, unified.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork, LinuxRdma};

use super::layout::CORE;
use super::{Draft, Layout, Setting, Version};
use crate::error::{Error, Kind};

const PIDS: &str = "linux.resources.pids.limit";
pub(super) const PIDS_FILE: &str = "pids.max";
const HUGEPAGES: &str = "linux.resources.hugepageLimits";
const NETWORK: &str = "linux.resources.network";
const RDMA: &str = "linux.resources.rdma";
const UNIFIED: &str = "linux.resources.unified";

/// The files of every v2 cgroup that are limits. The others move processes or steer the cgroup, which is the
/// runtime's to do.
const CORE_LIMITS: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/// How many processes there may be.
#[derive(Clone, Copy)]
pub(super) struct Pids {
    /// As the configuration says.
    pub limit: Option<i64>,
    /// Where it says nothing.
    pub default: Option<i64>,
}

/// −1 is "no limit" (runtime-spec 1.3). 0 and 1 stop every fork alike, but only 1 lets the first process in.
pub(super) fn pids(Pids { limit, default }: Pids, draft: &mut Draft<'_>) {
    let value = |limit: i64| if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() };
    match (limit, default) {
        // What a fresh cgroup has anyway needs no controller.
        (Some(..0), _) if draft.layout.version_of("pids").is_none() => {}
        (Some(limit), _) => draft.set("pids", PIDS_FILE, value(limit), PIDS),
        (None, Some(_)) if draft.layout.version_of("pids").is_none() => {
            draft.ignore(PIDS, "the default process limit has no effect: this host has no pids controller");
        }
        (None, Some(limit)) => {
            let mut setting = Setting::new("pids", PIDS_FILE, value(limit), PIDS);
            setting.at = None;
            draft.push(setting);
        }
        (None, None) => {}
    }
}

/// Reservations where the kernel counts them (Linux 5.7), and use in any case.
pub(super) fn hugepages(limits: &[LinuxHugepageLimit], draft: &mut Draft<'_>) {
    let (suffix, unlimited) = match draft.version_of("hugetlb") {
        Version::V1 => ("limit_in_bytes", "-1"),
        Version::V2 => ("max", "max"),
    };
    for (i, limit) in limits.iter().enumerate() {
        let at = format!("{HUGEPAGES}[{i}]");
        let size = limit.page_size();
        // The size becomes part of a file name.
        if !is_page_size(size) {
            draft.invalid(
                "cannot limit huge pages",
                &format!("{at}.pageSize"),
                format!("{size:?} is no size such as 2MB"),
            );
            continue;
        }
        let value = match limit.limit() {
            // Unsigned in the specification; loading has made the largest numbers this one.
            i64::MAX => unlimited.to_owned(),
            bytes @ 0.. => bytes.to_string(),
            bytes => {
                draft.invalid(
                    "cannot limit huge pages",
                    &format!("{at}.limit"),
                    format!("{bytes} is negative"),
                );
                continue;
            }
        };
        let file = format!("hugetlb.{size}.rsvd.{suffix}");
        draft.push(Setting::new("hugetlb", &file, &value, &at).or_skip());
        draft.set("hugetlb", &format!("hugetlb.{size}.{suffix}"), &value, &at);
    }
}

fn is_page_size(size: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).unwrap_or_default();
    !number.is_empty() && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// v1 only: cgroup v2 left both to packet filters.
pub(super) fn network(network: &LinuxNetwork, draft: &mut Draft<'_>) {
    if let Some(class) = network.class_id().filter(|class| *class != 0) {
        draft.set("net_cls", "net_cls.classid", class, &format!("{NETWORK}.classID"));
    }
    for (i, priority) in network.priorities().iter().flatten().enumerate() {
        let at = format!("{NETWORK}.priorities[{i}]");
        if is_word(priority.name()) {
            let line = format!("{} {}", priority.name(), priority.priority());
            draft.set("net_prio", "net_prio.ifpriomap", line, &at);
        } else {
            draft.invalid(
                "cannot set a network priority",
                &at,
                format!("{:?} is no interface name", priority.name()),
            );
        }
    }
}

pub(super) fn rdma(limits: &HashMap<String, LinuxRdma>, draft: &mut Draft<'_>) {
    let mut devices: Vec<_> = limits.iter().collect();
    devices.sort_by_key(|(name, _)| *name);
    for (name, limit) in devices {
        let at = format!("{RDMA}.{name}");
        if !is_word(name) {
            draft.invalid("cannot limit RDMA", &at, format!("{name:?} is no device name"));
            continue;
        }
        let handles = limit.hca_handles().map(|limit| format!(" hca_handle={limit}"));
        let objects = limit.hca_objects().map(|limit| format!(" hca_object={limit}"));
        let limits: String = handles.into_iter().chain(objects).collect();
        match limits.is_empty() {
            true => draft.invalid("cannot limit RDMA", &at, "it has neither hcaHandles nor hcaObjects"),
            false => draft.set("rdma", "rdma.max", format!("{name}{limits}"), &at),
        }
    }
}

/// Files of cgroup v2 by their own names; a value of several lines is written line by line.
pub(super) fn unified(files: &HashMap<String, String>, draft: &mut Draft<'_>) {
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    if !files.is_empty() && !matches!(draft.layout, Layout::V2 { .. }) {
        let why = "its files are those of cgroup v2, and this host's main controllers are on v1";
        draft.errors.push(
            Error::new(Kind::Unsupported, "cannot set unified resources", why)
                .at(UNIFIED)
                .fix("use the other fields of linux.resources, or boot the host with cgroup v2"),
        );
        return;
    }
    for (file, value) in files {
        let at = format!("{UNIFIED}.{file}");
        match controller(file) {
            Ok(controller) => {
                draft.settings.retain(|setting| setting.file != *file);
                for line in value.lines() {
                    draft.set(controller, file, line, &at);
                }
            }
            Err(why) => draft.invalid("cannot set a unified resource", &at, why),
        }
    }
}

/// The controller a v2 file belongs to. The name comes from the container's configuration and is opened in
/// the cgroup's directory: it must be a file there, and a limit.
fn controller(file: &str) -> Result<&str, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || byte == b'-';
    if !file.bytes().all(plain) {
        return Err("no file of cgroup v2 has such a name");
    }
    match file.split_once('.') {
        Some((CORE, _)) if CORE_LIMITS.contains(&file) => Ok(CORE),
        Some((CORE, _)) => Err("this file steers the cgroup itself, which is left to the runtime"),
        Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() => Ok(controller),
        _ => Err("a file of cgroup v2 is named controller.file, such as memory.high"),
    }
}

/// A name that cannot end the line it is written in.
fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control())
}
