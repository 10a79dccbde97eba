//! The real containerd: `ctr`, and pods through the CRI, with sandrun as the handler in both ways there are, on
//! Debian's containerd and on those that `fetch` has brought.

#[macro_use]
mod node;
mod image;
mod pod;

mod confined;
mod crowd;
mod ctr;
mod endings;
mod failures;
mod limits;
mod pods;
mod private_ids;
mod releases;
mod streams;

pub use ctr::Containerd;
