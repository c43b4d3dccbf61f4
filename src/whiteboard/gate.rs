//! A request that leaves in time, or not at all.
//!
//! A connection may take two seconds to make, and the caller may be gone by then. hyper asks whether there is a body, and
//! for it, when the connection is there, and before it writes: what is refused then has not left.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Whether a request has begun to leave: decided once, by whoever comes first.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<OnceLock<bool>>);

impl Gate {
    fn pass(&self) -> bool {
        *self.0.get_or_init(|| true)
    }

    /// Keeps the request back; `false`: it has begun to leave.
    pub(super) fn close(&self) -> bool {
        !*self.0.get_or_init(|| false)
    }

    fn is_closed(&self) -> bool {
        self.0.get() == Some(&false)
    }

    /// A body behind it; empty: none.
    pub(super) fn body(&self, bytes: Bytes) -> reqwest::Body {
        reqwest::Body::wrap(Gated { gate: self.clone(), bytes })
    }
}

struct Gated {
    gate: Gate,
    /// What has not been given yet.
    bytes: Bytes,
}

/// The request was kept back.
#[derive(Debug)]
struct Kept;

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kept back, because its caller leaves")
    }
}

impl std::error::Error for Kept {}

impl Body for Gated {
    type Data = Bytes;
    type Error = Kept;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Kept>>> {
        if !self.gate.pass() {
            return Poll::Ready(Some(Err(Kept)));
        }
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    /// Without a body the request leaves once this is true. Behind a closed gate it is false: then the body is asked for,
    /// and refused.
    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.gate.pass()
    }

    fn size_hint(&self) -> SizeHint {
        if self.gate.is_closed() {
            return SizeHint::default();
        }
        SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}
