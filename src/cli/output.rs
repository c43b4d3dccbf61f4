//! How answers are printed: proto3 JSON with proto field names, or its fields line by line.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use super::Failure;
use crate::proto::DESCRIPTORS;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Text,
    Json,
}

impl Output {
    /// Prints an answer.
    pub(super) fn print<M: Message + Name>(self, answer: &M) -> Result<(), Failure> {
        let json = to_json(answer, self == Self::Json).map_err(Failure::Failed)?;
        let mut text = String::new();
        match self {
            Self::Json => text = format!("{json:#}\n"),
            Self::Text => push_lines(&mut text, "", &json),
        }
        print(&text)
    }

    /// Prints one of many answers: in JSON each on a line of its own.
    pub(super) fn print_one_of_many<M: Message + Name>(self, answer: &M) -> Result<(), Failure> {
        if self == Self::Text {
            return self.print(answer);
        }
        print(&format!("{}\n", to_json(answer, true).map_err(Failure::Failed)?))
    }
}

/// Prints to standard output. A reader that went away is no failure of ours.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::from),
    }
}

/// `with_defaults`: fields that hold their default value are written too.
fn to_json<M: Message + Name>(answer: &M, with_defaults: bool) -> Result<Value, String> {
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string())?;
    let descriptor = pool.get_message_by_name(&M::full_name()).ok_or("the message has no descriptor")?;
    let message =
        DynamicMessage::decode(descriptor, &*answer.encode_to_vec()).map_err(|error| error.to_string())?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(!with_defaults);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| error.to_string())
}

/// One line a value, named by its path: `room.uuid: 1f6a…`.
fn push_lines(text: &mut String, path: &str, json: &Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                push_lines(text, &path, value);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                push_lines(text, &format!("{path}[{index}]"), item);
            }
        }
        Value::String(value) => {
            let _ = writeln!(text, "{path}: {value}");
        }
        value => {
            let _ = writeln!(text, "{path}: {value}");
        }
    }
}
