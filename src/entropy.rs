//! Randomness as a parameter: what needs random bytes gets an [`Entropy`].

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

/// Where random bytes come from.
pub trait Entropy: Send + Sync + 'static {
    /// 16 random bytes, enough for a UUID.
    fn bytes(&self) -> [u8; 16];
}

/// The thread's cryptographically secure generator, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that draws random bytes")]
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }
}

/// Counts instead of drawing: for tests.
#[derive(Debug, Default)]
pub struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn bytes(&self) -> [u8; 16] {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst)).to_be_bytes()
    }
}
