//! `-info`: what the runtime can do, for a containerd that asks before it makes anything (2.0).

use std::io::{Read, Write};

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

use crate::error::{Context, Result};
use crate::features;

/// The type by which containerd knows the OCI features document.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Prints it. What comes on standard input are options, given back as they are.
///
/// # Errors
/// When it cannot be printed.
pub fn print() -> Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).context(|| "cannot read the options".to_owned())?;
    let options = Any::parse_from_bytes(&input).ok().filter(|options| !options.type_url.is_empty());
    let features = Any {
        type_url: FEATURES.to_owned(),
        value: features::document().to_string().into_bytes(),
        ..Any::default()
    };
    let info = RuntimeInfo {
        name: "io.containerd.sandrun.v2".to_owned(),
        version: MessageField::some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("SANDRUN_COMMIT").unwrap_or_default().to_owned(),
            ..RuntimeVersion::default()
        }),
        options: options.into(),
        features: MessageField::some(features),
        ..RuntimeInfo::default()
    };
    let what = || "cannot print the features".to_owned();
    let bytes = info.write_to_bytes().map_err(|error| error.to_string()).context(what)?;
    std::io::stdout().write_all(&bytes).context(what)
}
