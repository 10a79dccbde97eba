//! The messages of cri.proto, by name, between JSON and the wire.

use protobuf::reflect::{FileDescriptor, MessageDescriptor};
use protobuf_json_mapping::PrintOptions;

/// All of cri.proto.
pub struct Schema(FileDescriptor);

impl Schema {
    pub fn of_the_cri() -> Schema {
        let mut parser = protobuf_parse::Parser::new();
        // The parser reads files only; an include of its own keeps the program one file.
        // Process ids are those of whatever namespace this runs in, so they do not name a directory for all.
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("the clock is set").as_nanos();
        let dir = std::env::temp_dir().join(format!("sandrun-test-{}-{now}-cri", std::process::id()));
        std::fs::create_dir(&dir).expect("cannot make a directory");
        let file = dir.join("cri.proto");
        std::fs::write(&file, include_str!("../cri.proto")).expect("cannot write cri.proto");
        let parsed = parser.pure().include(&dir).input(&file).file_descriptor_set();
        std::fs::remove_dir_all(&dir).expect("cannot remove the directory");
        let parsed = parsed.expect("cri.proto is well-formed").file.remove(0);
        Schema(FileDescriptor::new_dynamic(parsed, &[]).expect("cri.proto is complete"))
    }

    fn message(&self, name: &str) -> Result<MessageDescriptor, String> {
        self.0.message_by_package_relative_name(name).ok_or_else(|| format!("cri.proto has no {name}"))
    }

    pub fn encode(&self, name: &str, json: &str) -> Result<Vec<u8>, String> {
        let mut message = self.message(name)?.new_instance();
        protobuf_json_mapping::merge_from_str(&mut *message, json)
            .map_err(|error| format!("{name}: {error}"))?;
        message.write_to_bytes_dyn().map_err(|error| format!("{name}: {error}"))
    }

    /// Fields have their names in cri.proto, and those that were not sent their defaults.
    pub fn decode(&self, name: &str, bytes: &[u8]) -> Result<String, String> {
        let message =
            self.message(name)?.parse_from_bytes(bytes).map_err(|error| format!("{name}: {error}"))?;
        let options =
            PrintOptions { proto_field_name: true, always_output_default_values: true, ..Default::default() };
        protobuf_json_mapping::print_to_string_with_options(&*message, &options)
            .map_err(|error| format!("{name}: {error}"))
    }
}
