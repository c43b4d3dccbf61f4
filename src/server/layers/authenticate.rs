//! The authentication layer: identifies the caller before a handler sees the call.

use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use tonic::{Status, body::Body};

use super::{next::Next, observe::CallerTrace, request_id::RequestId};
use crate::{call::CallContext, caller::Callers, error::Error, principal::Principal, server::Peer};

/// Services that need no credential.
const OPEN: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// Makes the call's [`CallContext`] an extension of the request. `None`: every caller is anonymous.
pub(super) struct Authenticate(pub(super) Option<Arc<Callers>>);

impl Authenticate {
    pub(super) async fn call(&self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        if OPEN.iter().any(|prefix| request.uri().path().starts_with(prefix)) {
            return next.run(request).await;
        }
        let peer = request.extensions().get::<Peer>().cloned();
        let principal = match self.principal(request.headers(), peer.as_ref()).await {
            Ok(principal) => principal,
            Err(error) => return Status::from(error).into_http(),
        };
        let extensions = request.extensions();
        let context = CallContext {
            principal,
            peer: peer.map(|peer| peer.address.ip()),
            request_id: extensions.get().map(RequestId::as_str).unwrap_or_default().to_owned(),
            trace_id: extensions.get().map(|CallerTrace(id)| *id),
        };
        request.extensions_mut().insert(context);
        next.run(request).await
    }

    async fn principal(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Principal, Error> {
        let Some(callers) = &self.0 else { return Ok(Principal::anonymous()) };
        let certificates = peer.and_then(|peer| peer.certificates.as_deref());
        callers.identify(headers, certificates).await.map_err(Error::Unauthenticated)
    }
}
