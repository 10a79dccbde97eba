//! The `containerd-shim-sandrun-v2` program: containerd starts it once for a pod (`sandrun::shim`).

use std::process::ExitCode;

use sandrun::{enforce, shim};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    // The library starts a container's init by executing its own binary, which is this one.
    if arguments.next().is_some_and(|name| name == enforce::init::NAME) {
        let control = arguments.next().and_then(|number| number.to_str()?.parse().ok());
        return enforce::init::main(control);
    }
    shim::main()
}
