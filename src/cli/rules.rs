//! Flags that ask for Landlock rules, of the verbs that make a container.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Context, Error, Kind, Result};
use crate::plan::Options;
use crate::plan::landlock::LARGEST;

/// What it may not reach, beside what the level decides.
#[derive(Debug, Args)]
pub(super) struct Rules {
    /// TCP ports it may bind to, such as 80,8000-8010; none for none
    #[arg(long, value_name = "PORTS")]
    tcp_bind: Option<String>,
    /// TCP ports it may connect to
    #[arg(long, value_name = "PORTS")]
    tcp_connect: Option<String>,
    /// Further Landlock rules, as LandlockConfig JSON
    #[arg(long, value_name = "FILE")]
    landlock: Option<PathBuf>,
}

impl Rules {
    /// Adds them to the choices that change the plan.
    pub fn add_to(&self, options: &mut Options) -> Result<()> {
        options.tcp_bind.clone_from(&self.tcp_bind);
        options.tcp_connect.clone_from(&self.tcp_connect);
        options.landlock = self.landlock.as_deref().map(read).transpose()?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<String> {
    let what = || format!("cannot read Landlock rules from {}", path.display());
    let mut text = String::new();
    let file = File::open(path).context(what)?;
    file.take(LARGEST as u64 + 1).read_to_string(&mut text).context(what)?;
    if text.len() > LARGEST {
        return Err(Error::new(Kind::Invalid, what(), format!("it is larger than {LARGEST} bytes")));
    }
    Ok(text)
}
