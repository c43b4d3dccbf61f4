//! The stream of a watch: its states, and all that can end it.

use std::time::Instant;

use futures_util::stream::unfold;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tonic::{Status, codegen::BoxStream};

use super::describe::conversion;
use crate::{
    error::Error,
    methods::Rpc,
    policy::WatchSlot,
    proto::WatchConversionResponse,
    watcher::{Subscription, WatchError},
    whiteboard::Effect,
};

struct Stream {
    watch: Subscription,
    /// Counts against its caller's quota until it is dropped.
    _slot: WatchSlot,
    expiry: Instant,
    /// What it ends with at its expiry.
    at_expiry: fn() -> Error,
    stopping: CancellationToken,
}

/// `longest`: when the watch expires, unless the caller's deadline is earlier.
pub(super) fn stream(
    (watch, slot): (Subscription, WatchSlot),
    longest: Instant,
    deadline: Option<Instant>,
    stopping: CancellationToken,
) -> BoxStream<WatchConversionResponse> {
    let (expiry, at_expiry): (_, fn() -> Error) = match deadline {
        Some(deadline) if deadline <= longest => (deadline, || Error::DeadlineExceeded(Effect::None)),
        _ => (longest, || Error::WatchExpired),
    };
    let stream = Stream { watch, _slot: slot, expiry, at_expiry, stopping };
    Box::pin(unfold(Some(stream), |stream| async {
        let mut stream = stream?;
        match stream.next().await? {
            Ok(answer) => Some((Ok(answer), Some(stream))),
            Err(error) => Some((Err(Status::from(error)), None)),
        }
    }))
}

impl Stream {
    async fn next(&mut self) -> Option<Result<WatchConversionResponse, Error>> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Some(Err(Error::ShuttingDown)),
            () = sleep_until(self.expiry.into()) => Some(Err((self.at_expiry)())),
            state = self.watch.next() => Some(match state? {
                Ok(state) => Ok(WatchConversionResponse { conversion: Some(conversion(state)) }),
                Err(WatchError::Upstream(error)) => Err(Error::upstream(Rpc::WatchConversion)(error)),
                // Who watches again is told by which key, or that there is none.
                Err(WatchError::KeyReplaced) => Err(Error::WatchExpired),
            }),
        }
    }
}
