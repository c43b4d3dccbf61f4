//! Where a token is put together: a buffer of the thread's own, so that signing allocates the token alone.

use std::{cell::RefCell, hint::black_box};

/// A longer buffer is not kept, in bytes.
const LONGEST_KEPT: usize = 4 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lets `work` fill an empty buffer, with at most `most` bytes, and wipes it. With more it would grow, and leave an
/// unwiped copy behind. `work` does not call this.
pub(super) fn with_scratch<T>(most: usize, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.reserve(most);
        let result = work(buffer);
        // All of it: what was in it before may have been longer.
        buffer.clear();
        buffer.resize(buffer.capacity(), 0);
        keep_zeros(buffer);
        buffer.clear();
        if buffer.capacity() > LONGEST_KEPT {
            *buffer = Vec::new();
        }
        result
    })
}

/// Writes zeros over a secret, many bytes at once: `zeroize` writes one by one.
pub(super) fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    keep_zeros(secret);
}

/// Nobody reads these zeros, and the compiler must not know.
fn keep_zeros(zeros: &mut [u8]) {
    black_box(zeros);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_in_it_of_a_long_use_or_a_short_one() {
        let (mut start, mut capacity) = (0, 0);
        with_scratch(512, |buffer| {
            buffer.extend([0xa5; 512]);
            buffer.truncate(3);
            (start, capacity) = (buffer.as_ptr().addr(), buffer.capacity());
        });
        with_scratch(1, |buffer| {
            assert_eq!((buffer.as_ptr().addr(), buffer.len()), (start, 0), "the same buffer, emptied");
            // Its own bytes, read through the kernel: beyond its length no safe code reads them.
            let memory = std::fs::File::open("/proc/self/mem").unwrap();
            let mut bytes = vec![1; capacity];
            std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, start as u64).unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0));
        });
        with_scratch(LONGEST_KEPT + 1, |buffer| buffer.push(1));
        with_scratch(1, |buffer| assert!(buffer.capacity() < LONGEST_KEPT));
    }
}
