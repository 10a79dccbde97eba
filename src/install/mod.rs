//! Puts sandrun's handlers into the containerd of a node, and takes them out again.
//!
//! What is there is read first (`layout`, `containerd`, `effective`), then `plan` and `programs` decide every byte, containerd
//! itself shows what it would make of it, `files` writes, and `daemon` restarts and waits. Whatever does not work out is put
//! back as it was. A run that was killed leaves whole files only; the next one goes on from them, for it compares with what is
//! there and with what the running containerd has, and keeps no notes.

pub mod containerd;
pub mod cri;
pub mod daemon;
pub mod edit;
pub mod effective;
pub mod files;
pub mod handlers;
pub mod labels;
pub mod layout;
pub mod lock;
pub mod plan;
pub mod programs;
pub mod restore;
pub mod usage;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use containerd::Containerd;
use daemon::Restart;
use effective::Effective;
use files::{Disk, Written, present};
use handlers::{Handler, Setup, Via};
use layout::Layout;
use plan::{File, Tree};
use programs::Programs;
use restore::Restored;

/// What a caller wants of a node.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The main configuration, if it is not where the distribution has it.
    pub config: Option<PathBuf>,
    /// The containerd program, if it is not where the distribution has it.
    pub containerd: Option<PathBuf>,
    /// Where it listens, if it is not where the distribution has it.
    pub socket: Option<PathBuf>,
    /// Where the programs go.
    pub bin_dir: PathBuf,
    /// Through which shim.
    pub via: Via,
    /// Which handlers.
    pub handlers: Vec<Handler>,
    /// How containerd is restarted.
    pub restart: Restart,
    /// How long anything may take.
    pub patience: Duration,
}

impl Wish {
    fn layout(&self) -> Layout {
        let mut layout = layout::detect(|path| path.exists());
        if let Some(config) = &self.config {
            layout = Layout { main: config.clone(), ..layout::standard() };
            layout.drop_ins = config.parent().map_or_else(|| "/".into(), PathBuf::from);
        }
        if let Some(socket) = &self.socket {
            layout.socket.clone_from(socket);
        }
        layout
    }
}

/// What a run would do, or did.
#[derive(Debug)]
pub struct Outcome {
    /// What was found.
    pub found: String,
    /// The files that differ, in the order in which they are written.
    pub files: Vec<File>,
    /// Whether containerd has to be restarted.
    pub restart: bool,
}

/// Everything about a node that is found out before anything is decided.
struct Node {
    layout: Layout,
    containerd: Containerd,
    setup: Setup,
    /// The files with which it has nothing of ours.
    restored: Vec<File>,
    /// What containerd makes of them.
    before: Effective,
}

impl Node {
    fn find(wish: &Wish) -> Result<Node> {
        let layout = wish.layout();
        let containerd = Containerd::find(wish.containerd.as_deref(), &layout)?;
        let restored = restore::restored(&layout, &Disk)?;
        let before = without_ours(&layout, &containerd, &Restored::new(&Disk, &restored))?;
        if before.cri_is_disabled() {
            return Err(Error::new(
                Kind::Unsupported,
                "cannot give containerd handlers",
                format!("{} disables the plugin \"cri\", which Kubernetes talks to", layout.main.display()),
            )
            .fix("take it out of disabled_plugins; packages of Docker put it there"));
        }
        let setup = Setup {
            handlers: wish.handlers.clone(),
            via: wish.via,
            bin_dir: wish.bin_dir.clone(),
            systemd_cgroup: before.systemd_cgroup(),
        };
        Ok(Node { layout, containerd, setup, restored, before })
    }

    /// The files of the configuration, after containerd has shown that it takes them.
    fn configuration(&self) -> Result<Vec<File>> {
        let tree = Restored::new(&Disk, &self.restored);
        let place = plan::place(&self.layout, self.containerd.major, &tree)?;
        self.rehearse(&place, &tree)?;
        let wanted = plan::configuration(&self.layout, &place, &self.setup, &self.before, &tree)?;
        // What an earlier version, or another version of containerd, needed elsewhere.
        let stale = self.restored.iter().filter(|file| wanted.iter().all(|other| other.path != file.path));
        // Where one file imports another, the imported one is first.
        Ok(stale.cloned().chain(wanted.iter().cloned()).collect())
    }

    fn rehearse(&self, place: &plan::Place, tree: &dyn Tree) -> Result<()> {
        let texts = plan::rehearsal(&self.layout, place, &self.setup, &self.before, tree)?;
        let files: Vec<File> =
            texts.iter().map(|(path, text)| File::text(path.clone(), text.clone())).collect();
        let Some(main) = files.last().map(|file| file.path.clone()) else { return Ok(()) };
        let mut written = Written::default();
        written.write(&files)?;
        let shown = self.containerd.effective(&main);
        written.put_back()?;
        let what = "containerd would not have the handlers; nothing was changed";
        let shown = shown.map_err(|error| Error::new(error.kind, what, error.to_string()))?;
        let missing = shown.lacks(&self.setup);
        if !missing.is_empty() {
            let why = format!("its `config dump` lacks {}", missing.join(", "));
            return Err(Error::new(Kind::Failed, what, why)
                .fix("another file of its configuration replaces the CRI section, or the CRI plugin is not built in"));
        }
        match self.before.differs(&shown).as_slice() {
            [] => Ok(()),
            changed => Err(Error::new(
                Kind::Failed,
                "the handlers would change other settings of containerd; nothing was changed",
                changed.join(", "),
            )),
        }
    }

    /// Whether the running containerd has other handlers than its files say.
    fn is_stale(&self) -> bool {
        match cri::Running::ask(&self.layout.socket, Duration::from_secs(5)) {
            Ok(running) => !running.lacks(&self.setup).is_empty(),
            Err(_) => true,
        }
    }
}

/// What containerd makes of the configuration without what is ours.
fn without_ours(layout: &Layout, containerd: &Containerd, tree: &dyn Tree) -> Result<Effective> {
    let base = layout.base();
    let text = tree.read(base)?;
    if text.is_some() && text == Disk.read(base)? {
        return containerd.effective(base);
    }
    let file = plan::rehearsed(base, text.is_some(), "config.toml");
    let version = if containerd.major < 2 { 2 } else { 3 };
    let text = text.unwrap_or_else(|| format!("version = {version}\n"));
    let mut written = Written::default();
    written.write(&[File::text(file.clone(), text)])?;
    let shown = containerd.effective(&file);
    written.put_back()?;
    shown
}

/// Removes what a run that was killed was about to write.
fn sweep(wish: &Wish, layout: &Layout) -> Result<()> {
    let programs =
        [wish.bin_dir.as_path(), std::path::Path::new(handlers::OPTIONS_DIR), std::path::Path::new("/run")];
    layout.dirs().chain(programs).try_for_each(files::sweep)
}

fn record() -> Result<Option<String>> {
    Disk.read(&programs::record_file())
}

fn different(files: Vec<File>) -> Result<Vec<File>> {
    let mut different = Vec::new();
    for file in files {
        if present(&file)? != file.after || (file.after.is_none() && file.dirs.iter().any(|dir| dir.exists()))
        {
            different.push(file);
        }
    }
    Ok(different)
}

/// Puts the programs and handlers in, or says what that would change (`dry`).
///
/// # Errors
/// When anything does not work out; everything is as before then, and containerd runs as before if it can.
pub fn install(wish: &Wish, programs: Programs, dry: bool) -> Result<Outcome> {
    let _lock = lock::take(wish.patience)?;
    sweep(wish, &wish.layout())?;
    let node = Node::find(wish)?;
    let configuration = different(node.configuration()?)?;
    let differs = |file: &File| present(file).is_ok_and(|there| there != file.after);
    let programs = different(programs::installed(&node.setup, programs, record()?.as_deref(), differs)?)?;
    let restart = !configuration.is_empty() || node.is_stale();
    let found = format!("{} {}, {}", node.layout.name, node.containerd.version, node.layout.main.display());
    if !dry {
        let mut written = Written::default();
        written.write(&programs)?;
        works(&node.setup, &mut written)?;
        written.write(&configuration)?;
        if restart && wish.restart != Restart::Never {
            restart_with(wish, &node.layout, &mut written, Some(&node.setup))?;
        }
    }
    let files = programs.into_iter().chain(configuration).collect();
    Ok(Outcome { found, files, restart })
}

/// Takes everything out that [`install`] put in.
///
/// # Errors
/// When anything does not work out, as for [`install`]; and when containers of the handlers run, unless `force`.
pub fn uninstall(wish: &Wish, force: bool, dry: bool) -> Result<Outcome> {
    let _lock = lock::take(wish.patience)?;
    let layout = wish.layout();
    sweep(wish, &layout)?;
    usage::check(&wish.bin_dir, force)?;
    let configuration = different(restore::restored(&layout, &Disk)?)?;
    let programs = different(programs::removed(record()?.as_deref()))?;
    let restart = !configuration.is_empty();
    if !dry {
        let mut written = Written::default();
        written.write(&configuration)?;
        if restart && wish.restart != Restart::Never {
            restart_with(wish, &layout, &mut written, None)?;
        }
        // Last, for containerd starts them as long as it knows of them.
        written.write(&programs)?;
    }
    let found = format!("{}, {}", layout.name, layout.main.display());
    Ok(Outcome { found, files: configuration.into_iter().chain(programs).collect(), restart })
}

/// The programs run where they are now: not on a mount without execution, nor without a library that they need.
fn works(setup: &Setup, written: &mut Written) -> Result<()> {
    let mut command = std::process::Command::new(setup.bin_dir.join(handlers::PROGRAM));
    containerd::run(command.arg("--version")).map(|_| ()).map_err(|error| match written.put_back() {
        Ok(()) => error.fix("the programs are as they were; choose another --bin-dir"),
        Err(second) => error.and_then(second),
    })
}

/// If containerd does not come back with the handlers, it gets its files back and is restarted once more.
fn restart_with(wish: &Wish, layout: &Layout, written: &mut Written, setup: Option<&Setup>) -> Result<()> {
    let back = |setup: Option<&Setup>| {
        wish.restart.run(layout, wish.patience)?;
        daemon::await_handlers(&layout.socket, setup, wish.patience)
    };
    let Err(error) = back(setup) else { return Ok(()) };
    let what = "containerd did not come back with the change";
    if let Err(second) = written.put_back() {
        return Err(Error::new(Kind::Failed, what, error.to_string()).and_then(second));
    }
    Err(match back(None) {
        Ok(()) => Error::new(
            Kind::Failed,
            format!("{what}; its files are as before, and it runs"),
            error.to_string(),
        ),
        Err(second) => Error::new(
            Kind::Failed,
            format!("{what}; its files are as before, but it does not answer with them either"),
            error.to_string(),
        )
        .and_then(second)
        .fix("look at the log of containerd"),
    })
}

/// How a node stands.
#[derive(Debug, serde::Serialize)]
pub struct Standing {
    /// Whether the running containerd has the handlers.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the node is to be labelled with.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Looks at the running containerd and at the programs; changes nothing.
///
/// # Errors
/// When the host cannot be looked at.
pub fn standing(wish: &Wish) -> Result<Standing> {
    let host = crate::host::Host::probe()?;
    let setup = Setup {
        handlers: wish.handlers.clone(),
        via: wish.via,
        bin_dir: wish.bin_dir.clone(),
        systemd_cgroup: false,
    };
    let layout = wish.layout();
    let why = match cri::Running::ask(&layout.socket, Duration::from_secs(5)) {
        Err(error) => Some(error.to_string()),
        Ok(running) => match running.lacks(&setup).as_slice() {
            [] => [handlers::PROGRAM, handlers::SHIM]
                .map(|name| wish.bin_dir.join(name))
                .into_iter()
                .find(|path| !path.is_file())
                .map(|path| format!("{} is not there", path.display())),
            missing => Some(format!("containerd has no handler {}", missing.join(", "))),
        },
    };
    let labels = labels::labels(&host, why.is_none());
    Ok(Standing { ready: why.is_none(), why, labels })
}
