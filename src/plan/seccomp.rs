#![allow(missing_docs)]
use crate::error::Error;
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub name: String,
    pub flags: u32,
}
impl Filter {
    pub fn from_oci(_: &oci_spec::runtime::LinuxSeccomp) -> Result<Filter, Vec<Error>> {
        Ok(Filter { name: "config.json".into(), flags: 0 })
    }
    pub fn baseline() -> Filter {
        Filter { name: "baseline".into(), flags: 0 }
    }
}
