//! What can be set about the emulator.

use std::time::Duration;

use super::webhook_hosts::WebhookHost;

/// How the emulator behaves where the vendor's documents leave room.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shape of an error's body.
    pub error_shape: ErrorShape,
    /// The shortest time that a conversion waits before it runs.
    pub waiting: Duration,
    /// How long a conversion runs.
    pub converting: Duration,
    /// How many unfinished conversions each type may have in a region of a project; one more is
    /// refused with error code 2010203.
    pub queue_limit: usize,
    /// Whether a Room or Task token must be signed by the access key that created the room or
    /// task; otherwise any key of the same project will do.
    pub same_key: bool,
    /// How often each webhook is sent when its receiver takes it, at least once: the vendor documents that one may
    /// come several times.
    pub webhook_copies: u8,
    /// Where webhooks may be sent. One to another host is not sent, and a warning is logged.
    pub webhook_hosts: Vec<WebhookHost>,
}

impl Default for Settings {
    /// The documented error body, 1 s of waiting, 3 s of converting, 50 unfinished conversions,
    /// any key of the project, each webhook twice, to this machine only.
    fn default() -> Self {
        Self {
            error_shape: ErrorShape::Documented,
            waiting: Duration::from_secs(1),
            converting: Duration::from_secs(3),
            queue_limit: 50,
            same_key: false,
            webhook_copies: 2,
            webhook_hosts: vec![WebhookHost::Loopback],
        }
    }
}

/// The shape of an error's body. A numeric `code` is beside the message where the vendor has
/// an error code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorShape {
    /// `{"message": "…"}`, as the vendor's documents have it.
    #[default]
    Documented,
    /// `{"error": {"title", "messages", "requestId", "region", "traceStack"}}`, as seen in the wild: the text stands in
    /// `title`, and `messages` is empty.
    Observed,
}
