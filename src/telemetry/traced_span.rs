//! Spans of a traced call's steps.

/// A span within that of the call that is under way; disabled where that is not traced. The log sees it at any level,
/// so that its lines name the step.
macro_rules! traced_span {
    ($($span:tt)*) => {
        if $crate::telemetry::is_traced() {
            tracing::error_span!(target: $crate::telemetry::TRACED, $($span)*)
        } else {
            tracing::Span::none()
        }
    };
}

pub(crate) use traced_span;
