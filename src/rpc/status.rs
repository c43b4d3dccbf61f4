//! An error on its way out, as a `google.rpc.Status` with details.

use std::collections::HashMap;

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::error::{Detail, Error, Retry};

/// `ErrorInfo.domain`.
pub const DOMAIN: &str = "inkpass";

/// How much of its violations a status holds, in bytes. A status travels in headers, of which every gRPC
/// library takes 8 KiB.
const LONGEST_VIOLATIONS: usize = 4 * 1024;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::Internal(detail) = error {
            tracing::error!(detail, "an internal error");
        }
        let explained = error.explain();
        let mut metadata: HashMap<_, _> =
            explained.metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut details = ErrorDetails::new();
        match explained.detail {
            Detail::None => {}
            Detail::BadRequest(mut violations) => {
                let fitting = count_fitting(&violations);
                let left_out = violations.len() - fitting;
                if left_out > 0 {
                    metadata.insert("violations_left_out".to_owned(), left_out.to_string());
                }
                violations.truncate(fitting);
                details.set_bad_request(violations);
            }
            Detail::QuotaFailure(subject, description) => {
                details.add_quota_failure_violation(subject, description);
            }
        }
        details.set_error_info(explained.reason.name(), DOMAIN, metadata);
        if let Retry::After(delay) | Retry::ByTheApplication(delay) = explained.retry {
            details.set_retry_info(Some(delay));
        }
        let code = explained.reason.row().code;
        let mut status = Self::with_error_details(code, explained.message, details);
        let pushback = match explained.retry {
            Retry::Never | Retry::ByTheApplication(_) => Some("-1".to_owned()),
            Retry::After(delay) if code == Code::Unavailable => Some(delay.as_millis().to_string()),
            Retry::After(_) | Retry::Unsaid => None,
        };
        if let Some(Ok(pushback)) = pushback.map(MetadataValue::try_from) {
            status.metadata_mut().insert("grpc-retry-pushback-ms", pushback);
        }
        status
    }
}

/// How many of the violations, from the first, fit into a status.
fn count_fitting(violations: &[FieldViolation]) -> usize {
    let mut length = 0;
    let fitting = violations.iter().take_while(|violation| {
        length += violation.field.len() + violation.description.len() + 8;
        length <= LONGEST_VIOLATIONS
    });
    fitting.count()
}
