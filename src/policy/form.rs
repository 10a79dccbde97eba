//! The form of a policy file, key by key; [`super::words`] has the forms of single values.
//!
//! Every key may be absent: then what the policy is derived from (`extends`) says it, and where nobody does, the
//! rule allows everything. A key that is not here is an error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words::{Bytes, CapabilityName, Device, Directory, Pattern};
use crate::level::Level;
use crate::plan::namespaces::NamespaceKind;

/// The policies that are part of this program, named after the Pod Security Standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builtin {
    /// No rule but that containers do not loosen their own confinement: what holds where there is no file.
    Privileged,
    /// Known ways out of a container are refused; ordinary images and pods are not.
    Baseline,
    /// What is hard to abuse.
    Restricted,
}

/// What becomes of a configuration that breaks a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It runs, and the log and the state say so.
    Warn,
    /// It is tightened where that leaves its meaning, and refused where not.
    Clamp,
}

/// Whether the process may be root in its user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunAsRoot {
    /// Always.
    Always,
    /// Where it is somebody else outside.
    UserNamespace,
    /// Never.
    Never,
}

/// Which processes may be added to a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecRule {
    /// Those that the level allows.
    Level,
    /// Those with at most the ids and privileges of its own process, at `oci` as well.
    Same,
    /// Of these, those without a terminal that a list names.
    Probes,
    /// None.
    Deny,
}

/// A layer of confinement that can be required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A filter of system calls.
    Seccomp,
    /// A Landlock domain.
    Landlock,
    /// User ids that are others outside.
    UserIds,
    /// A cgroup of the container's own, with its limits.
    Cgroup,
    /// Rules for devices.
    Devices,
    /// `execve` adds no privileges.
    #[serde(rename = "no_new_privs")]
    NoNewPrivs,
    /// An AppArmor profile.
    Apparmor,
    /// An SELinux context.
    Selinux,
}

/// A table of the file: its keys, and how it lies over the one that it is derived from.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $value:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct $name {
            $($(#[$key_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $key: Option<$value>,)*
        }

        impl $name {
            fn over(self, base: Self) -> Self {
                Self { $($key: self.$key.or(base.$key),)* }
            }
        }
    };
}

table! {
    /// How much containers are confined.
    LevelRules {
        /// What becomes of one that asks for less.
        mode: Mode,
        /// The level of a container for which nobody asks.
        default: Level,
        /// The least that anybody may ask for, on the command line too.
        minimum: Level,
    }
}

table! {
    /// Namespaces that are not the container's own.
    NamespaceRules {
        /// What becomes of a breach.
        mode: Mode,
        /// Kinds that may be the host's: not listed in config.json, or joined.
        host: Vec<NamespaceKind>,
        /// Kinds that may be joined by a path.
        join: Vec<NamespaceKind>,
    }
}

table! {
    /// What may be mounted.
    MountRules {
        /// What becomes of a breach.
        mode: Mode,
        /// Places of the host that may be bound, with all that is beneath them.
        allow: Vec<Directory>,
        /// Places that may be bound read-only.
        allow_read_only: Vec<Directory>,
        /// Types of filesystems that may be mounted anew.
        filesystems: Vec<String>,
        /// Whether sockets by which container engines take orders may be bound, or what holds them.
        engine_sockets: bool,
        /// Whether mounts inside may appear on the host (propagation `shared`).
        shared: bool,
    }
}

table! {
    /// Devices beside those that every container has.
    DeviceRules {
        /// What becomes of a breach.
        mode: Mode,
        /// Devices that may be made or opened.
        allow: Vec<Device>,
    }
}

table! {
    /// Capabilities.
    CapabilityRules {
        /// What becomes of a breach; `clamp` takes the others away.
        mode: Mode,
        /// Those that config.json may ask for.
        allow: Vec<CapabilityName>,
        /// Those that the level baseline leaves beside its own nine, where config.json asks for them.
        keep_at_baseline: Vec<CapabilityName>,
    }
}

table! {
    /// Who the process is, and what it may become.
    ProcessRules {
        /// What becomes of a breach; `clamp` sets no_new_privs.
        mode: Mode,
        /// Whether it may be user 0.
        run_as_root: RunAsRoot,
        /// Whether `execve` may add privileges.
        privilege_escalation: bool,
        /// Whether it may run without any filter of system calls.
        seccomp_unconfined: bool,
        /// Whether it may run without AppArmor's profile, where the host has AppArmor.
        apparmor_unconfined: bool,
        /// Types that its SELinux context may have.
        selinux_types: Vec<String>,
        /// Whether /proc and /sys may be seen without what hides the host's part of them.
        unmasked: bool,
    }
}

table! {
    /// Kernel parameters.
    SysctlRules {
        /// What becomes of a breach; `clamp` leaves the others out.
        mode: Mode,
        /// Names that may be set; one that ends with `*` stands for all that begin so.
        allow: Vec<Pattern>,
    }
}

table! {
    /// Programs that run as root on the host.
    HookRules {
        /// What becomes of a breach.
        mode: Mode,
        /// Paths of the programs that may be hooks.
        allow: Vec<String>,
    }
}

table! {
    /// What a container may ask of sandrun.
    AnnotationRules {
        /// Annotations that loosen, each with the values that it may have.
        allow: BTreeMap<String, Vec<String>>,
    }
}

table! {
    /// The most that a container may use; one without a limit breaks the rule.
    Ceilings {
        /// What becomes of a breach; `clamp` sets the limit.
        mode: Mode,
        /// Processes and threads.
        pids: u32,
        /// Bytes of memory.
        memory: Bytes,
        /// CPUs, as 1.5.
        cpu: f64,
    }
}

table! {
    /// Limits of a container that has none.
    Defaults {
        /// Processes and threads.
        pids: u32,
        /// Bytes of memory.
        memory: Bytes,
        /// CPUs, as 1.5.
        cpu: f64,
    }
}

table! {
    /// Processes that are added to a running container.
    ExecRules {
        /// What becomes of a breach; there is nothing to clamp.
        mode: Mode,
        /// Which may be.
        allow: ExecRule,
        /// Argument vectors that are probes, beside those of the annotation `dev.sandrun.exec-probes`.
        probes: Vec<Vec<String>>,
    }
}

fn says_nothing<T: Default + PartialEq>(table: &T) -> bool {
    *table == T::default()
}

macro_rules! policy {
    ($($(#[$doc:meta])* $table:ident: $type:ty,)*) => {
        /// A node's policy: what no container can loosen.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct Policy {
            /// What it is derived from; `privileged` if absent.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub extends: Option<Builtin>,
            /// What becomes of a breach of a rule whose table has no mode of its own.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mode: Option<Mode>,
            /// Layers without which, or with only a part of which, nothing runs.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub require: Option<Vec<Layer>>,
            $($(#[$doc])* #[serde(skip_serializing_if = "says_nothing")] pub $table: $type,)*
        }

        impl Policy {
            /// This policy, and what `base` says of the keys that it does not have. One that only warns warns of
            /// everything.
            #[must_use]
            pub fn over(self, base: Policy) -> Policy {
                let base = if self.mode == Some(Mode::Warn) { base.without_modes() } else { base };
                Policy {
                    extends: self.extends,
                    mode: self.mode.or(base.mode),
                    require: self.require.or(base.require),
                    $($table: self.$table.over(base.$table),)*
                }
            }
        }
    };
}

policy! {
    /// Levels.
    level: LevelRules,
    /// Namespaces.
    namespaces: NamespaceRules,
    /// Mounts.
    mounts: MountRules,
    /// Devices.
    devices: DeviceRules,
    /// Capabilities.
    capabilities: CapabilityRules,
    /// The process.
    process: ProcessRules,
    /// Kernel parameters.
    sysctl: SysctlRules,
    /// Hooks.
    hooks: HookRules,
    /// Annotations.
    annotations: AnnotationRules,
    /// Ceilings.
    ceilings: Ceilings,
    /// Defaults.
    defaults: Defaults,
    /// Execs.
    exec: ExecRules,
}

impl Policy {
    fn without_modes(mut self) -> Policy {
        for mode in [
            &mut self.level.mode,
            &mut self.namespaces.mode,
            &mut self.mounts.mode,
            &mut self.devices.mode,
            &mut self.capabilities.mode,
            &mut self.process.mode,
            &mut self.sysctl.mode,
            &mut self.hooks.mode,
            &mut self.ceilings.mode,
            &mut self.exec.mode,
        ] {
            *mode = None;
        }
        self
    }

    /// What becomes of a breach in a table with this mode.
    pub fn mode(&self, table: Option<Mode>) -> Mode {
        table.or(self.mode).unwrap_or_default()
    }
}
