//! Randomness as a parameter: what needs random bytes gets an [`Entropy`].

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

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

/// A pause that is up to a fifth longer, so that those who wait do not come together; never a shorter one.
#[must_use]
pub fn lengthened(pause: Duration, entropy: &dyn Entropy) -> Duration {
    pause + pause / 5 * u32::from(entropy.bytes()[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_lengthened_by_a_fifth_at_most_and_never_shortened() {
        let pause = Duration::from_secs(3);
        let all: Vec<_> = (0..1000).map(|_| lengthened(pause, &SystemEntropy)).collect();
        assert!(all.iter().all(|longer| (pause..=pause + pause / 5).contains(longer)), "{all:?}");
        assert!(all.iter().any(|longer| *longer > pause + pause / 10), "{all:?}");
    }
}
