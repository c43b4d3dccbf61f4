//! What a client of gRPC does by itself when its connection ends, and tonic does not.

use std::{error::Error, iter::successors};

use h2::Reason;
use tonic::Status;

/// Calls, and once more if the server has not begun it: its connection turned out to be closing.
pub(crate) async fn sent_again<T, F>(call: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    match call().await {
        Err(status) if was_not_begun(&status) => call().await,
        result => result,
    }
}

/// It was not sent; or only after the answer to the ping by which the server learns which call is the last: h2 lets that answer
/// overtake a call that waits to be written, and the last GOAWAY then says that the call is not taken.
fn was_not_begun(status: &Status) -> bool {
    let mut causes = successors(status.source(), |error| (*error).source());
    causes.any(|error| {
        let is_left_out = |error: &h2::Error| {
            error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
        };
        error.downcast_ref().is_some_and(hyper::Error::is_canceled)
            || error.downcast_ref().is_some_and(is_left_out)
    })
}
