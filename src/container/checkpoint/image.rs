//! What is kept beside CRIU's files: what the container was, so that a restore can tell whether it gets the same.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::mounts::{External, Mounted};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Plan;
use crate::sys::Syscall;

const NAME: &str = "sandrun.json";
const DESCRIPTORS: &str = "descriptors.json";
const VERSION: u32 = 1;

/// The contents of `sandrun.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// [`VERSION`].
    pub version: u32,
    /// The plan of the container.
    pub plan: Plan,
    /// Its mounts.
    pub mounts: Vec<Mounted>,
    /// Those that come from the host.
    pub externals: Vec<External>,
    /// Standard input, output and error, by the names that CRIU has for them, where they lead out.
    pub streams: [Option<String>; 3],
}

impl Image {
    /// An image of this version.
    pub fn new(
        plan: Plan,
        mounts: Vec<Mounted>,
        externals: Vec<External>,
        streams: [Option<String>; 3],
    ) -> Self {
        Self { version: VERSION, plan, mounts, externals, streams }
    }

    /// Writes it into the directory of the images.
    ///
    /// # Errors
    /// The failed call.
    pub fn save(&self, dir: &OwnedFd) -> Result<()> {
        write(dir, NAME, self)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// `NotFound` when the directory holds no checkpoint of ours, `Invalid` when it is of another version.
    pub fn load(dir: &OwnedFd) -> Result<Self> {
        let what = || format!("cannot read {NAME} of the checkpoint");
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(dir, NAME, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => {
                return Err(Error::new(Kind::NotFound, what(), "it is not there")
                    .fix("name the directory of a checkpoint that sandrun made with --image-path"));
            }
            file => file.call(|| format!("openat({NAME:?})")).context(what)?,
        };
        let mut text = Vec::new();
        File::from(file).read_to_end(&mut text).context(what)?;
        let image: Self = serde_json::from_slice(&text).context(what)?;
        if image.version != VERSION {
            let why = format!("it has version {}, this sandrun knows {VERSION}", image.version);
            return Err(Error::new(Kind::Invalid, what(), why));
        }
        Ok(image)
    }
}

/// Writes down what the standard streams of a process were, as runc and crun do for those who look into a checkpoint;
/// a restore by sandrun needs [`Image::streams`] only.
///
/// # Errors
/// The failed call.
pub fn save_descriptors(dir: &OwnedFd, pid: i32) -> Result<()> {
    let link = |number| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
    write(dir, DESCRIPTORS, &[0, 1, 2].map(link))
}

fn write(dir: &OwnedFd, name: &str, contents: &impl Serialize) -> Result<()> {
    let what = || format!("cannot write {name} of the checkpoint");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::from_raw_mode(0o600))
        .call(|| format!("openat({name:?})"))
        .context(what)?;
    serde_json::to_writer(File::from(file), contents).context(what)
}

/// The directories that CRIU works in.
pub struct Dirs {
    /// For the images.
    pub images: OwnedFd,
    /// For logs and working files, if it is another one.
    pub work: Option<OwnedFd>,
    path: PathBuf,
}

impl Dirs {
    /// Opens them; those that are not there are made for a dump, readable for nobody else: they hold memory.
    ///
    /// # Errors
    /// The failed call.
    pub fn open(images: &Path, work: Option<&Path>, make: bool) -> Result<Self> {
        Ok(Self {
            images: open(images, make)?,
            work: work.map(|path| open(path, true)).transpose()?,
            path: work.unwrap_or(images).to_owned(),
        })
    }

    /// Adds what CRIU has written about an error to it.
    pub fn explain(&self, error: Error, log: &str) -> Error {
        let text = std::fs::read(self.path.join(log)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let errors: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("Error (")?.1.split_once("): "))
            .map(|(_, text)| text)
            .collect();
        // The first ones may be of what it can do without, the last one only says that it failed.
        let last = errors.get(errors.len().saturating_sub(5)..).unwrap_or_default();
        if last.is_empty() {
            return error;
        }
        let first = Some(error.why.as_str()).filter(|why| !why.is_empty());
        let why = first.into_iter().chain(last.iter().copied()).collect::<Vec<_>>().join("; ");
        Error { why, ..error }.fix(format!("the whole story is in {}", self.path.join(log).display()))
    }
}

fn open(path: &Path, make: bool) -> Result<OwnedFd> {
    let what = || format!("cannot open {}", path.display());
    if make {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
            .context(|| format!("cannot make {}", path.display()))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir =
        rustix::fs::open(path, flags, Mode::empty()).call(|| format!("open({path:?})")).context(what)?;
    Ok(dir)
}

impl AsFd for Dirs {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.images.as_fd()
    }
}
