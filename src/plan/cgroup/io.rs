//! `linux.resources.blockIO`.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice, LinuxWeightDevice};

use super::{Draft, Setting, Version};

const WEIGHT: &str = "linux.resources.blockIO.weight";
const LEAF_WEIGHT: &str = "linux.resources.blockIO.leafWeight";
const WEIGHT_DEVICE: &str = "linux.resources.blockIO.weightDevice";
const NO_LEAF: &str = "cgroup v2 has no leaf weights, and v1 lost them with the CFQ scheduler in Linux 5.0";

/// One throttle: the field, the v1 file, the key in v2's `io.max`.
struct Throttle<'a> {
    devices: Option<&'a [LinuxThrottleDevice]>,
    field: &'static str,
    v1: &'static str,
    v2: &'static str,
}

/// Weights are 10 to 1000, 0 is "not set"; rates are per second.
pub(super) fn plan(io: &LinuxBlockIo, draft: &mut Draft<'_>) {
    let version = match draft.layout.version_of("blkio") {
        Some(version) => version,
        None => draft.version_of("io"),
    };
    if let Some(weight) = weight(io.weight(), WEIGHT, draft) {
        push_weight(version, None, weight, WEIGHT, draft);
    }
    if weight(io.leaf_weight(), LEAF_WEIGHT, draft).is_some() {
        draft.ignore(LEAF_WEIGHT, NO_LEAF);
    }
    for (i, device) in io.weight_device().iter().flatten().enumerate() {
        weight_device(version, device, &format!("{WEIGHT_DEVICE}[{i}]"), draft);
    }
    for throttle in throttles(io) {
        for (i, device) in throttle.devices.unwrap_or_default().iter().enumerate() {
            push_throttle(version, &throttle, device, i, draft);
        }
    }
}

fn throttles(io: &LinuxBlockIo) -> [Throttle<'_>; 4] {
    [
        Throttle {
            devices: io.throttle_read_bps_device().as_deref(),
            field: "throttleReadBpsDevice",
            v1: "blkio.throttle.read_bps_device",
            v2: "rbps",
        },
        Throttle {
            devices: io.throttle_write_bps_device().as_deref(),
            field: "throttleWriteBpsDevice",
            v1: "blkio.throttle.write_bps_device",
            v2: "wbps",
        },
        Throttle {
            devices: io.throttle_read_iops_device().as_deref(),
            field: "throttleReadIOPSDevice",
            v1: "blkio.throttle.read_iops_device",
            v2: "riops",
        },
        Throttle {
            devices: io.throttle_write_iops_device().as_deref(),
            field: "throttleWriteIOPSDevice",
            v1: "blkio.throttle.write_iops_device",
            v2: "wiops",
        },
    ]
}

fn push_throttle(
    version: Version,
    throttle: &Throttle<'_>,
    device: &LinuxThrottleDevice,
    index: usize,
    draft: &mut Draft<'_>,
) {
    let at = format!("linux.resources.blockIO.{}[{index}]", throttle.field);
    let node = format!("{}:{}", device.major(), device.minor());
    match (version, device.rate()) {
        (Version::V1, rate) => draft.set("blkio", throttle.v1, format!("{node} {rate}"), &at),
        // v1 takes 0 for "no limit", v2 only the word.
        (Version::V2, 0) => draft.set("io", "io.max", format!("{node} {}=max", throttle.v2), &at),
        (Version::V2, rate) => draft.set("io", "io.max", format!("{node} {}={rate}", throttle.v2), &at),
    }
}

fn weight_device(version: Version, device: &LinuxWeightDevice, at: &str, draft: &mut Draft<'_>) {
    let node = format!("{}:{}", device.major(), device.minor());
    let at_weight = format!("{at}.weight");
    if let Some(weight) = weight(device.weight(), &at_weight, draft) {
        push_weight(version, Some(&node), weight, &at_weight, draft);
    }
    let at_leaf = format!("{at}.leafWeight");
    if weight(device.leaf_weight(), &at_leaf, draft).is_some() {
        draft.ignore(&at_leaf, NO_LEAF);
    }
}

/// Only one scheduler at a time knows weights: BFQ today, CFQ before Linux 5.0, io.cost in v2.
fn push_weight(version: Version, node: Option<&str>, weight: u16, at: &str, draft: &mut Draft<'_>) {
    let line = |weight: u64| match node {
        Some(node) => format!("{node} {weight}"),
        None => weight.to_string(),
    };
    let given = line(weight.into());
    let setting = match (version, node) {
        (Version::V1, None) => {
            Setting::new("blkio", "blkio.weight", &given, at).or_write("blkio.bfq.weight", &given)
        }
        (Version::V1, Some(_)) => Setting::new("blkio", "blkio.weight_device", &given, at)
            .or_write("blkio.bfq.weight_device", &given),
        (Version::V2, _) => {
            Setting::new("io", "io.bfq.weight", &given, at).or_write("io.weight", line(io_weight(weight)))
        }
    };
    draft.push(setting);
}

/// `io.weight` (1 to 10000) for a weight of 10 to 1000, as runc and crun convert it.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

fn weight(field: Option<u16>, at: &str, draft: &mut Draft<'_>) -> Option<u16> {
    match field {
        None | Some(0) => None,
        Some(weight @ 10..=1000) => Some(weight),
        Some(other) => {
            draft.invalid("cannot weigh block I/O", at, format!("{other} is not in 10..=1000"));
            None
        }
    }
}
