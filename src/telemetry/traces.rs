//! The export of traces by OTLP over gRPC.

use std::ffi::OsString;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use super::Settings;

/// The protocol's variables: the one for traces takes precedence over the one for all signals.
const PROTOCOL_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// A provider, if spans are to be exported. The standard variables take precedence over the settings.
pub(super) fn provider(
    settings: &Settings,
    environment: &[(OsString, OsString)],
) -> Result<Option<SdkTracerProvider>, String> {
    let variable = |wanted: &str| {
        let value = environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        value.and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    };
    let named =
        ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].into_iter().find_map(variable);
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER") == Some("none");
    if is_off || named.or(settings.otlp_endpoint.as_deref()).is_none() {
        return Ok(None);
    }
    // The exporter would silently send gRPC to an HTTP port.
    let protocol = PROTOCOL_VARIABLES.into_iter().find_map(|name| Some((name, variable(name)?)));
    if let Some((name, value)) = protocol.filter(|(_, value)| !value.eq_ignore_ascii_case("grpc")) {
        return Err(format!(
            "{name} is {value:?}, but traces are exported by gRPC only: set it to \"grpc\" or unset it, and name \
             the collector's gRPC port, 4317 by default"
        ));
    }

    let exporter = SpanExporter::builder().with_tonic();
    // Without an endpoint the exporter reads the variables itself.
    let exporter = match (named, &settings.otlp_endpoint) {
        (None, Some(endpoint)) => exporter.with_endpoint(endpoint),
        _ => exporter,
    };
    let exporter = exporter.build().map_err(|error| format!("the export of traces cannot start: {error}"))?;

    let mut provider = SdkTracerProvider::builder().with_batch_exporter(exporter);
    if variable("OTEL_TRACES_SAMPLER").is_none() {
        let ratio = Sampler::TraceIdRatioBased(settings.sampling_ratio);
        provider = provider.with_sampler(Sampler::ParentBased(Box::new(ratio)));
    }
    let mut resource = Resource::builder();
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    if variable("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=") {
        resource = resource.with_service_name("inkpass");
    }
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = resource.with_attribute(version).build();
    Ok(Some(provider.with_resource(resource).build()))
}

/// Turns our spans into OpenTelemetry's, without fields that cost time on the hot path.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("inkpass"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
}
