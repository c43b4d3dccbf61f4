//! What secrets leave on the stack: a value that is moved or kept there for a moment is wiped by
//! nobody where it was.

use std::hint::black_box;

use zeroize::Zeroize;

/// How much of the stack is wiped, in bytes: more than anything that handles keys takes.
const DEPTH: usize = 8 * 1024;

/// Does something with a secret, and wipes the stack beneath it.
///
/// By best effort, as all wiping in a language that moves values: nothing tells where a compiler
/// keeps copies. What `work` gives should hold no secret but on the heap.
#[inline(never)]
pub(crate) fn wiping_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe();
    result
}

/// In a frame of its own, which [`wipe`]'s takes the place of.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe() {
    let mut stack = [0xff_u8; DEPTH];
    black_box(&mut stack);
    stack.zeroize();
    black_box(&mut stack);
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt, ptr};

    use super::*;

    const MARK: u8 = 0xa5;

    /// As much as is surely wiped, and more than what reads it back takes of the stack.
    const LEFT: usize = 6 * 1024;

    #[inline(never)]
    fn leave_marks() {
        let mut secret = [0; LEFT];
        secret.fill(MARK);
        black_box(&mut secret);
    }

    #[test]
    fn what_was_left_on_the_stack_is_wiped() {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut beneath = vec![0; 4 * LEFT];
        let here = MARK;
        let start = ptr::from_ref(&here).addr() - beneath.len();
        let mut marks_after = |work: &dyn Fn()| {
            work();
            memory.read_exact_at(&mut beneath, start.try_into().unwrap()).unwrap();
            beneath.windows(16).filter(|bytes| bytes.iter().all(|byte| *byte == MARK)).count()
        };
        assert!(marks_after(&|| apart(leave_marks)) > 0, "nothing was left to wipe");
        assert_eq!(marks_after(&|| wiping_stack(leave_marks)), 0);
    }
}
