//! Lets in whoever is known, before a handler sees the call.

use std::sync::Arc;

use http::request::Parts;
use opentelemetry::trace::TraceId;

use super::incoming::Peer;
use crate::{
    caller::{Callers, Principal},
    rpc::{Caller, Error},
};

/// What anyone may ask, without being known.
const OPEN: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

#[derive(Clone)]
pub(super) struct Doorman {
    /// `None`: everyone is let in.
    callers: Option<Arc<Callers>>,
}

impl Doorman {
    pub(super) const fn new(callers: Option<Arc<Callers>>) -> Self {
        Self { callers }
    }

    /// Makes the call's [`Caller`] an extension of the request.
    pub(super) async fn admit(
        &self,
        request: &mut Parts,
        request_id: &str,
        trace_id: Option<TraceId>,
    ) -> Result<(), Error> {
        if OPEN.iter().any(|prefix| request.uri.path().starts_with(prefix)) {
            return Ok(());
        }
        let principal = match &self.callers {
            None => Principal::anonymous(),
            Some(callers) => {
                let peer = request.extensions.get::<Peer>();
                let certificates = peer.and_then(|peer| peer.certificates.as_deref());
                callers.identify(&request.headers, certificates).await.map_err(Error::CallerUnknown)?
            }
        };
        let peer = request.extensions.get::<Peer>().map(|peer| peer.address.ip());
        request.extensions.insert(Caller { principal, peer, request_id: request_id.to_owned(), trace_id });
        Ok(())
    }
}
