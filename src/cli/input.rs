//! Reads requests: proto3 JSON, one a line.

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::proto::DESCRIPTORS;

/// Skips empty lines.
///
/// # Errors
/// Each line's mistake, with its number.
pub(super) fn read_lines<M: Message + Name + Default>(text: &str) -> Result<Vec<M>, Vec<String>> {
    let (mut requests, mut mistakes) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match read(line) {
            Ok(request) => requests.push(request),
            Err(mistake) => mistakes.push(format!("line {}: {mistake}", index + 1)),
        }
    }
    if mistakes.is_empty() { Ok(requests) } else { Err(mistakes) }
}

fn read<M: Message + Name + Default>(line: &str) -> Result<M, String> {
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string())?;
    let descriptor = pool.get_message_by_name(&M::full_name()).ok_or("the message has no descriptor")?;
    let mut json = serde_json::Deserializer::from_str(line);
    let message = DynamicMessage::deserialize(descriptor, &mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}
