//! Host and domain name of the container's UTS namespace.

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::sys::Syscall;

/// Sets both, where they are given; the plan has made sure that they are not the host's.
pub fn set(plan: &Plan, _: &mut Init) -> Result<()> {
    if let Some(name) = plan.hostname.as_ref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes())
            .call(|| format!("sethostname({name:?})"))
            .context(|| "cannot set the host name".to_owned())
            .map_err(|error| error.at("hostname"))?;
    }
    if let Some(name) = plan.domainname.as_ref().filter(|name| !name.is_empty()) {
        crate::sys::process::set_domain_name(name)
            .context(|| "cannot set the domain name".to_owned())
            .map_err(|error| error.at("domainname"))?;
    }
    Ok(())
}
