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

/// A provider, and what decides which calls are traced, if spans are to be exported. The standard variables take
/// precedence over the settings.
pub(super) fn provider(
    settings: &Settings,
    environment: &[(OsString, OsString)],
) -> Result<Option<(SdkTracerProvider, Sampler)>, String> {
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

    let sampler = match variable("OTEL_TRACES_SAMPLER") {
        Some(name) => sampler(name, variable("OTEL_TRACES_SAMPLER_ARG"))?,
        None => parent_based(Sampler::TraceIdRatioBased(settings.sampling_ratio)),
    };
    // A call's span has a parent that carries the decision, or it is the root of a sampled trace.
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(parent_based(Sampler::AlwaysOn));
    let mut resource = Resource::builder();
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    if variable("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=") {
        resource = resource.with_service_name("inkpass");
    }
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = resource.with_attribute(version).build();
    Ok(Some((provider.with_resource(resource).build(), sampler)))
}

/// By the names of OpenTelemetry's specification.
fn sampler(name: &str, argument: Option<&str>) -> Result<Sampler, String> {
    let ratio = || match argument.map_or(Ok(1.0), str::parse::<f64>) {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Sampler::TraceIdRatioBased(ratio)),
        _ => Err("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1".to_owned()),
    };
    match name {
        "always_on" => Ok(Sampler::AlwaysOn),
        "always_off" => Ok(Sampler::AlwaysOff),
        "traceidratio" => ratio(),
        "parentbased_always_on" => Ok(parent_based(Sampler::AlwaysOn)),
        "parentbased_always_off" => Ok(parent_based(Sampler::AlwaysOff)),
        "parentbased_traceidratio" => ratio().map(parent_based),
        _ => Err("OTEL_TRACES_SAMPLER must be always_on, always_off, traceidratio, parentbased_always_on, \
             parentbased_always_off or parentbased_traceidratio"
            .to_owned()),
    }
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
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
