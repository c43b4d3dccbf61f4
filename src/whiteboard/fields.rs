//! How fields of the upstream's answers are read.

use serde::{Deserialize, Deserializer, de};

use super::access::PathUuid;

/// A uuid that can stand in a path.
pub(super) fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let uuid = String::deserialize(deserializer)?;
    if PathUuid::new(&uuid).is_some() { Ok(uuid) } else { Err(de::Error::custom("not a uuid")) }
}

/// A field without a value may be absent, or null.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
