//! What sandrun can do, for programs that choose a runtime (runtime-spec, features.md and features-linux.md).
//!
//! Nothing is listed twice: options, names and flags come from the tables by which config.json is read, and a
//! field is said to be supported if a configuration with it is not refused. What a container can be given on no
//! other kernel is left out where the kernel is too old for it: namespaces and flags of seccomp filters.

use serde_json::{Value, json};

use crate::host;
use crate::level::Level;
use crate::oci;
use crate::plan::mounts::options;
use crate::plan::seccomp::known;
use crate::plan::{caps, unsupported};
use crate::sys;

/// The features document.
pub fn document() -> Value {
    let mut document = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": oci::OCI_VERSION,
        "hooks": hooks(),
        "mountOptions": options::known(),
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

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

fn hooks() -> Vec<&'static str> {
    let honoured = |kind: &&str| config(json!({ "hooks": { *kind: [{ "path": "/hook" }] } }));
    HOOKS.into_iter().filter(honoured).collect()
}

/// Whether nobody refuses these fields of config.json.
fn config(mut fields: Value) -> bool {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("ociVersion".to_owned(), oci::OCI_VERSION.into());
    }
    unsupported::honours(fields)
}

fn linux() -> Value {
    let namespaces: Vec<String> = host::namespaces().iter().map(ToString::to_string).collect();
    let rdt = |fields: Value| config(json!({ "linux": { "intelRdt": fields } }));
    let device = json!({ "linux": { "netDevices": { "eth0": {} } } });
    json!({
        "namespaces": namespaces,
        "capabilities": caps::known(),
        "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": true },
        "seccomp": seccomp(),
        "apparmor": { "enabled": true },
        "selinux": { "enabled": true },
        "intelRdt": {
            "enabled": rdt(json!({ "closID": "one" })),
            "schemata": rdt(json!({ "schemata": ["L3:0=f"] })),
            "monitoring": rdt(json!({ "enableMonitoring": true })),
        },
        "memoryPolicy": memory_policy(),
        "mountExtensions": { "idmap": { "enabled": true } },
        "netDevices": { "enabled": config(device) },
    })
}

fn seccomp() -> Value {
    let supported = known::FLAGS.iter().filter(|(_, bit)| sys::seccomp::has_flags(*bit));
    json!({
        "enabled": true,
        "actions": known::ACTIONS,
        "operators": known::OPERATORS,
        "archs": known::ARCHITECTURES,
        "knownFlags": known::FLAGS.map(|(flag, _)| flag),
        "supportedFlags": supported.map(|(flag, _)| flag).collect::<Vec<_>>(),
    })
}

const MEMORY_MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_LOCAL",
];
const MEMORY_FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

fn memory_policy() -> Value {
    let policy = |mode: &str, flags: &[&str]| {
        let policy = json!({ "mode": mode, "nodes": "0", "flags": flags });
        config(json!({ "linux": { "memoryPolicy": policy } }))
    };
    let modes: Vec<&str> = MEMORY_MODES.into_iter().filter(|mode| policy(mode, &[])).collect();
    let flags: Vec<&str> = MEMORY_FLAGS.into_iter().filter(|flag| policy("MPOL_BIND", &[flag])).collect();
    if modes.is_empty() { Value::Null } else { json!({ "modes": modes, "flags": flags }) }
}

fn annotations() -> Value {
    let levels = [Level::Oci, Level::Baseline, Level::Strict].map(|level| level.to_string());
    json!({
        "dev.sandrun.version": env!("CARGO_PKG_VERSION"),
        "dev.sandrun.checkpoint.enabled": "true",
        "dev.sandrun.levels": levels.join(","),
        "dev.sandrun.level.default": Level::default().to_string(),
        "dev.sandrun.landlock.abi": sys::process::landlock_abi().to_string(),
    })
}
