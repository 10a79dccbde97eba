//! What sandrun can do, for programs that choose a runtime (runtime-spec, features.md and features-linux.md).
//!
//! Nothing is listed twice: options, names and flags come from the tables by which config.json is read. What a container can be given on no
//! other kernel is left out where the kernel is too old for it: namespaces and flags of seccomp filters.

use serde_json::{Value, json};

use crate::host;
use crate::level::Level;
use crate::oci;
use crate::plan::hooks::Point;
use crate::plan::landlock::rights::{self, Kind};
use crate::plan::mounts::option_names;
use crate::plan::seccomp::known;
use crate::plan::{caps, memory_policy};
use crate::sys;

/// The features document.
pub fn document() -> Value {
    let mut document = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": oci::OCI_VERSION,
        "hooks": Point::ALL.map(Point::name),
        "mountOptions": option_names().collect::<Vec<_>>(),
        "linux": linux(),
        "annotations": annotations(),
        // A value that ends with a dot stands for every annotation that begins with it.
        "potentiallyUnsafeConfigAnnotations": ["dev.sandrun."],
    });
    drop_nulls(&mut document);
    document
}

/// Absent means "unknown", and so does null; parsers that were written in a hurry only know the former.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

fn linux() -> Value {
    let namespaces: Vec<String> = host::namespaces().iter().map(ToString::to_string).collect();
    json!({
        "namespaces": namespaces,
        "capabilities": caps::known(),
        "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
        "seccomp": seccomp(),
        "apparmor": { "enabled": true },
        "selinux": { "enabled": true },
        "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
        "memoryPolicy": {
            "modes": memory_policy::MODES.map(|mode| mode.to_string()),
            "flags": memory_policy::FLAGS.map(|flag| flag.to_string()),
        },
        "mountExtensions": { "idmap": { "enabled": true } },
        "netDevices": { "enabled": true },
    })
}

fn seccomp() -> Value {
    let supported = |name: &&&str| known::flag_value(name).is_some_and(sys::seccomp::knows_flags);
    json!({
        "enabled": true,
        "actions": known::ACTIONS,
        "operators": known::OPERATORS,
        "archs": known::ARCHS,
        "knownFlags": known::FLAGS,
        "supportedFlags": known::FLAGS.iter().filter(supported).collect::<Vec<_>>(),
    })
}

fn annotations() -> Value {
    let levels = [Level::Oci, Level::Baseline, Level::Strict].map(|level| level.to_string());
    let landlock_abi = sys::process::landlock_abi().min(rights::NEWEST_ABI);
    json!({
        "dev.sandrun.version": env!("CARGO_PKG_VERSION"),
        "dev.sandrun.checkpoint.enabled": "true",
        "dev.sandrun.levels": levels.join(","),
        "dev.sandrun.level.default": Level::default().to_string(),
        "dev.sandrun.landlock.abi": landlock_abi.to_string(),
        "dev.sandrun.landlock.accessFs": rights::names(Kind::Fs, rights::all(Kind::Fs, landlock_abi)).join(","),
        "dev.sandrun.landlock.accessNet": rights::names(Kind::Net, rights::all(Kind::Net, landlock_abi)).join(","),
        "dev.sandrun.landlock.scoped": rights::names(Kind::Scope, rights::all(Kind::Scope, landlock_abi)).join(","),
        // What `process.landlock` may hold: the proposal's form, and LandlockConfig.
        "dev.sandrun.landlock.process": "runtime-spec-1241,landlockconfig",
    })
}
