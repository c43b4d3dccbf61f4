//! What a layer calls: the next layer, or at the end the handler.

use std::future::Future;

use http::{Request, Response};
use tonic::body::Body;

/// The rest of the way of a call.
pub(super) trait Next: Send {
    /// Goes it.
    fn run(self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl<N, F> Next for N
where
    N: FnOnce(Request<Body>) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    fn run(self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        self(request)
    }
}
