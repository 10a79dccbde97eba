//! `manual DIR` writes `DIR/man8/sandrun*.8` and `DIR/completions/` for bash, zsh and fish.
//!
//! A program of its own, so that what is shipped carries neither the pages nor the code that writes them.

use std::io::Result;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::{Shell, generate_to};

const SECTION: &str = "8";

fn main() -> Result<()> {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other("usage: manual DIR"));
    };
    let mut definition = sandrun::cli::definition().version(env!("CARGO_PKG_VERSION"));
    let pages = dir.join(format!("man{SECTION}"));
    std::fs::create_dir_all(&pages)?;
    definition.build();
    write_page(&definition, "sandrun", &pages)?;
    write_verbs(&definition, "sandrun", &pages)?;
    let completions = dir.join("completions");
    std::fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut definition, "sandrun", &completions)?;
    }
    Ok(())
}

/// One page for each verb, and for each of its own.
fn write_verbs(command: &Command, name: &str, pages: &Path) -> Result<()> {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        let name = format!("{name}-{}", verb.get_name());
        write_page(verb, &name, pages)?;
        write_verbs(verb, &name, pages)?;
    }
    Ok(())
}

/// One page; a verb's is found by `man sandrun-verb`.
fn write_page(command: &Command, name: &str, pages: &Path) -> Result<()> {
    let command = command.clone().display_name(name.to_owned());
    let mut page = Vec::new();
    clap_mangen::Man::new(command).section(SECTION).manual("sandrun").render(&mut page)?;
    std::fs::write(pages.join(format!("{name}.{SECTION}")), page)
}
