//! The samplers of OpenTelemetry's specification.

use opentelemetry_sdk::trace::Sampler;

use super::variables::Variables;

const EXPECTED: &str = "one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, \
     parentbased_traceidratio";

/// By `OTEL_TRACES_SAMPLER`; `None`: it names none of them.
pub(super) fn read_sampler(variables: &Variables<'_>) -> Option<Sampler> {
    let ratio = || {
        let parse = |text: &str| text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        let ratio = variables.choose(&["OTEL_TRACES_SAMPLER_ARG"], "a number from 0 to 1", parse);
        Sampler::TraceIdRatioBased(ratio.unwrap_or(1.0))
    };
    variables.choose(&["OTEL_TRACES_SAMPLER"], EXPECTED, |name| {
        Some(match &*name.to_ascii_lowercase() {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => ratio(),
            "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
            "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
            "parentbased_traceidratio" => parent_based(ratio()),
            _ => return None,
        })
    })
}

/// A caller's decision takes precedence over this one.
pub(super) fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}
