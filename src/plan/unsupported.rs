//! Fields that are refused by name, so that nothing of `config.json` is lost in silence.

use oci_spec::runtime::Spec;

use crate::error::{Error, Kind};

pub(super) fn refusals(config: &Spec) -> Vec<Error> {
    let linux = config.linux().as_ref();
    let fields = [(
        "linux.mountLabel",
        linux.is_some_and(|linux| linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())),
    )];
    fields
        .into_iter()
        .filter(|(_, present)| *present)
        .map(|(field, _)| {
            Error::new(Kind::Unsupported, format!("{field} is not supported by this version"), "")
                .at(field)
                .fix("remove the field, or use another runtime for this container")
        })
        .collect()
}
