//! The action `start`: the server of a container's pod, and its address on standard output.
//!
//! containerd reads until everybody has closed that output, so the server must not inherit it.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use super::cgroup;
use super::flags::Flags;
use super::grouping::Spec;
use super::options::Settings;
use super::socket::{self, Socket};
use crate::error::{Context, Result};
use crate::sys::process::{close_on_exec_from, inherit_as};

/// The number at which the server finds its socket.
pub const SOCKET: i32 = 3;

/// As much as anybody could have to say; containerd's own shim reads no more either.
const LONGEST_INPUT: u64 = 10 << 20;

/// Where a server says what it is reached at: containerd 1.6 looks for it when it is started again.
const ADDRESS: &str = "address";

/// The environment variable with containerd's socket for events.
pub const TTRPC_ADDRESS: &str = "TTRPC_ADDRESS";

/// What containerd asks for: by flags, before version 2.3, or by a message on standard input.
struct Asked {
    /// Containerd's own socket.
    containerd: String,
    /// Where it takes events, if it says so here.
    ttrpc: String,
    /// Where sockets are.
    socket_dir: PathBuf,
    /// Whether it is told in the form of a message.
    message: bool,
    debug: bool,
    settings: Settings,
}

/// Starts the server in the current directory, which is the bundle's, unless the pod has one.
///
/// # Errors
/// What prevents it, for containerd's own error.
pub fn start(flags: &Flags) -> Result<()> {
    let mut input = Vec::new();
    std::io::stdin()
        .take(LONGEST_INPUT)
        .read_to_end(&mut input)
        .context(|| "cannot read standard input".to_owned())?;
    let asked = Asked::read(&input, flags)?;
    let spec = Spec::read(Path::new("."))?;
    let path = socket::path(&asked.socket_dir, &asked.containerd, &flags.namespace, spec.group(&flags.id));
    let address = format!("unix://{}", path.display());
    if let Socket::Fresh(listener) = socket::find_or_make(&path)? {
        launch(listener, flags, &asked, &spec).inspect_err(|_| {
            // The first error is the one that tells.
            socket::remove(&path).unwrap_or_default();
        })?;
    }
    std::fs::write(ADDRESS, &address).context(|| format!("cannot write {ADDRESS}"))?;
    answer(&address, asked.message)
}

impl Asked {
    fn read(input: &[u8], flags: &Flags) -> Result<Self> {
        if let Some(params) = bootstrap_params(input, flags) {
            let dir = params.socket_dir.as_deref().filter(|dir| !dir.is_empty()).unwrap_or(socket::DIR);
            let options = params.extensions.iter().filter_map(|extension| extension.value.as_ref());
            return Ok(Asked {
                socket_dir: PathBuf::from(dir),
                message: true,
                // Levels below that of INFO, which is 0, tell more.
                debug: flags.debug || params.log_level.value() < 0,
                settings: settings(options, flags),
                containerd: params.containerd_grpc_address,
                ttrpc: params.containerd_ttrpc_address,
            });
        }
        Ok(Asked {
            containerd: flags.address.clone(),
            ttrpc: String::new(),
            socket_dir: PathBuf::from(socket::DIR),
            message: false,
            debug: flags.debug,
            settings: settings(Message::parse_from_bytes(input).ok().iter(), flags),
        })
    }
}

/// Options that cannot be understood say nothing yet: Create comes with the same, and has an error that is shown.
fn settings<'a>(options: impl Iterator<Item = &'a Any>, flags: &Flags) -> Settings {
    let mut readable = options.filter_map(|any| Settings::read(Some(any), &flags.namespace).ok());
    readable.next().unwrap_or_default()
}

/// From containerd 2.3 on; before, options are in its place. The bytes of one may pass for the other, so the message
/// has to name what the flags name too.
fn bootstrap_params(input: &[u8], flags: &Flags) -> Option<BootstrapParams> {
    let params = BootstrapParams::parse_from_bytes(input).ok()?;
    (params.instance_id == flags.id && params.namespace == flags.namespace).then_some(params)
}

/// Starts the server. What it has from birth is set here: its cgroup, its score for the out-of-memory killer.
fn launch(listener: UnixListener, flags: &Flags, asked: &Asked, spec: &Spec) -> Result<()> {
    let what = || "cannot start the server".to_owned();
    die_before_containerd();
    cgroup::join(&asked.settings, spec);
    close_on_exec_from(SOCKET).context(what)?;
    inherit_as(listener.as_fd(), SOCKET).context(what)?;
    let program = std::env::current_exe().context(what)?;
    let mut server = Command::new(program);
    server.args(["-namespace", &flags.namespace, "-id", &flags.id, "-address", &asked.containerd]);
    if asked.debug {
        server.arg("-debug");
    }
    if !asked.ttrpc.is_empty() {
        server.env(TTRPC_ADDRESS, &asked.ttrpc);
    }
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    server.spawn().map(drop).context(what)
}

/// When memory runs out, containerd is worth more than one pod, and a pod's server more than what is in it: one more
/// than containerd's score. To raise it needs no right; where /proc is hidden, nothing is lost.
fn die_before_containerd() {
    let containerd = std::os::unix::process::parent_id();
    let score = std::fs::read_to_string(format!("/proc/{containerd}/oom_score_adj")).ok();
    if let Some(score) = score.and_then(|score| score.trim().parse::<i32>().ok()) {
        std::fs::write("/proc/self/oom_score_adj", (score + 1).min(1000).to_string()).unwrap_or_default();
    }
}

fn answer(address: &str, message: bool) -> Result<()> {
    let what = || "cannot print the address".to_owned();
    let bytes = match message {
        true => {
            let result = BootstrapResult {
                version: 3,
                address: address.to_owned(),
                protocol: "ttrpc".to_owned(),
                ..BootstrapResult::default()
            };
            result.write_to_bytes().map_err(|error| error.to_string()).context(what)?
        }
        // Version 2 of the service, by ttrpc, for every version of containerd that there is.
        false => address.as_bytes().to_vec(),
    };
    std::io::stdout().write_all(&bytes).context(what)
}
