//! The log of failed calls: one line each, by who can do something about it. Callers get no detail.

use std::sync::Arc;

use super::{access::Access, call::Request, error::Error};
use crate::{methods::Rpc, region::Region, token::SigningKey};

/// What a failed call's line says of the call.
pub(super) struct Failures {
    rpc: Rpc,
    path: String,
    region: Region,
    key: Arc<SigningKey>,
}

macro_rules! log {
    ($level:ident, $call:expr, $error:expr) => {
        tracing::$level!(
            reason = $error.name(),
            rpc = $call.rpc.name(),
            region = $call.region.as_str(),
            access_key = $call.key.access_key(),
            http.path = $call.path,
            upstream.detail = $error.detail(),
            "an upstream call failed"
        )
    };
}

impl Failures {
    pub(super) fn new(access: &Access, request: &Request) -> Self {
        let Access { key, region, .. } = access;
        Self { rpc: request.rpc, path: request.path.clone(), region: *region, key: key.clone() }
    }

    /// Logs a failure, and passes the result on.
    pub(super) fn log<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Ok(_)
            | Err(Error::NoShare(_) | Error::TooLate | Error::ClockUnstable | Error::CircuitOpen { .. }) => {}
            // Nothing works until an operator looks after the keys.
            Err(error @ Error::CredentialsRejected { .. }) => log!(error, self, error),
            // The caller asked for what is not there, or not possible.
            Err(
                error @ (Error::Refused { .. }
                | Error::NotFound
                | Error::SceneNotFound
                | Error::RoomDisabled
                | Error::NotWaiting
                | Error::FeatureDisabled),
            ) => log!(info, self, error),
            Err(
                error @ (Error::Unreachable { .. }
                | Error::OutcomeUnknown { .. }
                | Error::QueueFull
                | Error::RateLimited { .. }
                | Error::UnexpectedAnswer { .. }),
            ) => log!(warn, self, error),
        }
        result
    }
}
