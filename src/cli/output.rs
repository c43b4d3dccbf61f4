//! Prints responses: proto3 JSON with proto field names, or one field a line.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::mpsc,
    thread,
    time::Duration,
};

use clap::ValueEnum;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use super::failure::Failure;
use crate::proto::DESCRIPTORS;

/// The longest wait for standard error.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PrintFormat {
    /// For a person
    Text,
    /// The response as proto3 JSON
    Json,
}

impl PrintFormat {
    /// Prints a response.
    pub(super) fn print<M: Message + Name>(self, answer: &M) -> Result<(), Failure> {
        let json = to_json(answer).map_err(Failure::Failed)?;
        let mut text = String::new();
        match self {
            Self::Json => text = format!("{json:#}\n"),
            Self::Text => push_lines(&mut text, "", &json),
        }
        print(&text)
    }

    /// Prints one of many responses: JSON on one line.
    pub(super) fn print_one_of_many<M: Message + Name>(self, answer: &M) -> Result<(), Failure> {
        if self == Self::Text {
            return self.print(answer);
        }
        print(&format!("{}\n", to_json(answer).map_err(Failure::Failed)?))
    }
}

/// Prints to standard output. A broken pipe is not an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::from),
    }
}

/// Prints to standard output in a thread, so that a stopped reader does not block the process.
pub(super) fn print_in_background(text: String) {
    thread::spawn(move || {
        let _ = print(&text);
    });
}

/// Prints to standard error, with a timeout for a stopped reader.
pub(super) fn print_error(text: String) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let _ = io::stderr().write_all(text.as_bytes());
        let _ = done.send(());
    });
    let _ = is_done.recv_timeout(STDERR_TIMEOUT);
}

/// Includes fields with default values.
fn to_json<M: Message + Name>(answer: &M) -> Result<Value, String> {
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string())?;
    let descriptor = pool.get_message_by_name(&M::full_name()).ok_or("the message has no descriptor")?;
    let message = DynamicMessage::decode(descriptor, &*answer.encode_to_vec()).map_err(|e| e.to_string())?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| error.to_string())
}

/// One line a value, with its path: `room.uuid: 1f6a…`. Empty values are left out.
fn push_lines(text: &mut String, path: &str, json: &Value) {
    let mut line = |value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{path}: {value}");
    };
    match json {
        Value::Null => {}
        Value::Bool(value) => line(value),
        Value::Number(value) if value.as_f64() == Some(0.0) => {}
        Value::Number(value) => line(value),
        Value::String(value) if value.is_empty() || value.ends_with("_UNSPECIFIED") => {}
        // Escaped, so that an upstream's text adds no line and does not move the cursor.
        Value::String(value) => line(&value.escape_debug()),
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
    }
}
