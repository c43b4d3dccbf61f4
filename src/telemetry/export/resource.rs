//! Of whom telemetry speaks: OpenTelemetry's resource.

use opentelemetry::KeyValue;
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector};

use super::variables::{Variables, pairs};
use crate::hex::Uuid4;

const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// What is said of every process.
const NAME: &str = "service.name";
const VERSION: &str = "service.version";
const INSTANCE: &str = "service.instance.id";

/// `OTEL_RESOURCE_ATTRIBUTES`, and `OTEL_SERVICE_NAME`, which takes precedence over a `service.name` in it.
pub(super) fn read(variables: &Variables<'_>) -> Vec<KeyValue> {
    let pairs = pairs(variables.get(VARIABLE).unwrap_or_default()).collect::<Result<Vec<_>, _>>();
    let pairs = pairs.unwrap_or_else(|number| {
        // The specification: a value that is not understood is left out as a whole.
        let what = format!("has an item {number} that is no key=value: all of it is left out");
        variables.warn(VARIABLE, &what);
        Vec::new()
    });
    let name = variables.get("OTEL_SERVICE_NAME").map(|name| (NAME.to_owned(), name.to_owned()));
    // A service without a name, a version or an instance is none.
    let is_said =
        |(key, value): &(String, String)| !value.is_empty() || ![NAME, VERSION, INSTANCE].contains(&&**key);
    pairs.into_iter().chain(name).filter(is_said).map(|(key, value)| KeyValue::new(key, value)).collect()
}

/// With what every process says of itself. `instance`: it, unless the variables name it.
pub(super) fn resource(attributes: &[KeyValue], instance: &Uuid4) -> Resource {
    let own = [
        KeyValue::new(NAME, env!("CARGO_PKG_NAME")),
        KeyValue::new(VERSION, env!("CARGO_PKG_VERSION")),
        KeyValue::new(INSTANCE, instance.as_str().to_owned()),
    ];
    // Of two with one key the later one counts.
    let resource = Resource::builder_empty().with_detector(Box::new(TelemetryResourceDetector));
    resource.with_attributes(own).with_attributes(attributes.iter().cloned()).build()
}
