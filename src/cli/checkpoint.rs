use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Global;
use crate::container::checkpoint::{CgroupsMode, Dump, Options, checkpoint};
use crate::error::{Context, Error, Kind, Result};

/// Write a running container to files with CRIU, and delete it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container
    id: String,
    #[command(flatten)]
    common: Common,
    /// Images of an earlier --pre-dump, relative to those of this one
    #[arg(long, value_name = "DIR")]
    parent_path: Option<PathBuf>,
    /// Let it go on afterwards
    #[arg(long)]
    leave_running: bool,
    /// Leave out TCP connections that are not established yet
    #[arg(long)]
    tcp_skip_in_flight: bool,
    /// Let CRIU link files again that are unlinked but open
    #[arg(long)]
    link_remap: bool,
    /// Descriptor that gets a zero byte once memory can be asked for
    #[arg(long, value_name = "FD")]
    status_fd: Option<i32>,
    /// Send memory to a page server instead of writing it
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// Write memory only, ahead of a checkpoint, and let it go on
    #[arg(long)]
    pre_dump: bool,
}

/// What `restore` takes too.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Directory of the images
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    pub image_path: PathBuf,
    /// Directory for logs and working files [default: that of the images]
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Take established TCP connections along
    #[arg(long)]
    tcp_established: bool,
    /// Allow UNIX sockets that lead out of the container
    #[arg(long)]
    ext_unix_sk: bool,
    /// Allow processes of a session from outside, such as a shell's
    #[arg(long)]
    shell_job: bool,
    /// Take file locks along
    #[arg(long)]
    file_locks: bool,
    /// Bring memory only when it is needed (userfaultfd)
    #[arg(long)]
    lazy_pages: bool,
    /// Take memory that is in the images twice out of them
    #[arg(long)]
    auto_dedup: bool,
    /// How CRIU treats cgroups
    #[arg(long, value_name = "MODE", default_value = "soft")]
    manage_cgroups_mode: CgroupsMode,
    /// Bring a namespace back empty; that of the network always is
    #[arg(long, value_name = "NAMESPACE")]
    empty_ns: Vec<EmptyNamespace>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EmptyNamespace {
    Network,
}

impl Common {
    pub fn options(&self) -> Options {
        Options {
            image_path: self.image_path.clone(),
            work_path: self.work_path.clone(),
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            lazy_pages: self.lazy_pages,
            auto_dedup: self.auto_dedup,
            cgroups: self.manage_cgroups_mode,
        }
    }
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode> {
    let dump = Dump {
        common: arguments.common.options(),
        parent_path: arguments.parent_path.as_ref().map(|path| parent(path, arguments)).transpose()?,
        leave_running: arguments.leave_running,
        pre_dump: arguments.pre_dump,
        tcp_skip_in_flight: arguments.tcp_skip_in_flight,
        link_remap: arguments.link_remap,
        page_server: arguments.page_server.as_deref().map(page_server).transpose()?,
        status_fd: arguments.status_fd,
    };
    global.log().failed_hooks(&checkpoint(&global.root(), &arguments.id, &dump)?);
    Ok(ExitCode::SUCCESS)
}

/// CRIU stores it as a link in the images, which may be moved together.
fn parent(path: &std::path::Path, arguments: &Arguments) -> Result<String> {
    let what = || format!("cannot use --parent-path {}", path.display());
    if path.is_absolute() {
        return Err(Error::new(Kind::Invalid, what(), "it is not relative to --image-path"));
    }
    if !arguments.common.image_path.join(path).is_dir() {
        return Err(Error::new(Kind::NotFound, what(), "it is not a directory"));
    }
    Ok(path.to_str().ok_or("it is not UTF-8").context(what)?.to_owned())
}

fn page_server(text: &str) -> Result<(String, u16)> {
    let parts = text.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse().ok()?)));
    let (address, port) = parts
        .filter(|(address, _): &(&str, u16)| !address.is_empty())
        .ok_or("write ADDRESS:PORT")
        .context(|| format!("{text:?} is no page server"))?;
    Ok((address.trim_matches(['[', ']']).to_owned(), port))
}
