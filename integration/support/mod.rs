//! What the tests share: bundles, runtimes, terminals, and the search for what is left behind.

pub mod agent;
pub mod bundle;
pub mod leaks;
pub mod runtime;
#[macro_use]
pub mod skip;
pub mod systemd;
pub mod terminal;
pub mod user;

pub use agent::{Agent, Reply};
pub use bundle::{Bundle, Scratch};
pub use runtime::{Output, Runtime};
pub use skip::is_root;
pub use user::User;
