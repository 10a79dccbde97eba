//! Fields that are refused by name, so that nothing of `config.json` is lost in silence.

use oci_spec::runtime::Spec;

use crate::error::{Error, Kind};

/// Whether a configuration with these fields gets past [`refusals`].
pub(crate) fn honours(fields: serde_json::Value) -> bool {
    serde_json::from_value::<Spec>(fields).is_ok_and(|config| refusals(&config).is_empty())
}

pub(super) fn refusals(config: &Spec) -> Vec<Error> {
    let linux = config.linux().as_ref();
    let process = config.process().as_ref();
    let fields = [
        ("linux.intelRdt", linux.is_some_and(|linux| linux.intel_rdt().is_some())),
        ("linux.memoryPolicy", linux.is_some_and(|linux| linux.memory_policy().is_some())),
        (
            "linux.netDevices",
            linux.is_some_and(|linux| linux.net_devices().as_ref().is_some_and(|list| !list.is_empty())),
        ),
        (
            "linux.mountLabel",
            linux.is_some_and(|linux| linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())),
        ),
        ("linux.personality", linux.is_some_and(|linux| linux.personality().is_some())),
        ("process.ioPriority", process.is_some_and(|process| process.io_priority().is_some())),
        ("process.scheduler", process.is_some_and(|process| process.scheduler().is_some())),
        ("process.execCPUAffinity", process.is_some_and(|process| process.exec_cpu_affinity().is_some())),
        ("vm", config.vm().is_some()),
        ("windows", config.windows().is_some()),
        ("solaris", config.solaris().is_some()),
        ("zos", config.zos().is_some()),
    ];
    fields
        .into_iter()
        .filter(|(_, present)| *present)
        .map(|(field, _)| {
            Error::new(Kind::Unsupported, format!("{field} is not supported by this version"), "")
                .at(field)
                .fix("remove the field, or use another runtime for this container")
        })
        .collect()
}
