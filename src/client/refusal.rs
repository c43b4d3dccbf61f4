//! A typed refusal, to branch on.

use std::{fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a call was refused.
#[derive(Debug)]
pub struct Refusal {
    /// `ErrorInfo.reason`: branch on this. Empty if the server gave none.
    pub reason: String,
    /// What went wrong, and what to do next.
    pub message: String,
    /// The gRPC code.
    pub code: Code,
    /// Every invalid field, with what it must be.
    pub violations: Vec<(String, String)>,
    /// How long to wait before a retry, if one can help.
    pub retry_after: Option<Duration>,
    /// The call's id in the server's log.
    pub request_id: Option<String>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| &*bad.field_violations).unwrap_or_default();
        let request_id = status.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
        Self {
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            code: status.code(),
            violations: violations.iter().map(|v| (v.field.clone(), v.description.clone())).collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            request_id: request_id.map(str::to_owned),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.reason.is_empty() { format!("{:?}", self.code) } else { self.reason.clone() };
        write!(f, "{reason}: ")?;
        if self.violations.is_empty() {
            f.write_str(&self.message)?;
        } else {
            f.write_str("the request is invalid")?;
        }
        for (field, description) in &self.violations {
            write!(f, "\n  {field}: {description}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "\n  request id: {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
