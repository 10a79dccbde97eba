//! The `sandrun` program: parse, dispatch, print one error, exit code.

use std::process::ExitCode;

use sandrun::{cli, enforce};

#[global_allocator]
static ALLOCATOR: sandrun::sys::alloc::Bump = sandrun::sys::alloc::Bump::new();

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| name == enforce::init::NAME) {
        let control = arguments.next().and_then(|number| number.to_str()?.parse().ok());
        return enforce::init::main(control);
    }
    cli::main()
}
