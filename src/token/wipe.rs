//! Copies of secrets on the stack: nothing else wipes where a value was before it was moved.

use std::hint::black_box;

use zeroize::Zeroize;

/// How much of the stack is wiped, in bytes: more than anything that handles keys takes.
const DEPTH: usize = 8 * 1024;

/// Does something with a secret, and wipes the stack beneath it.
///
/// This is best effort, as all wiping in a language that moves values: a compiler may keep copies
/// elsewhere. The result of `work` should hold its secrets on the heap only.
#[inline(never)]
pub(crate) fn wiping_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe();
    result
}

/// In a frame of its own, which [`wipe`]'s frame overwrites.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe() {
    // Words are wiped eight times as fast as bytes.
    let mut stack = [u64::MAX; DEPTH / 8];
    black_box(&mut stack);
    stack.zeroize();
    black_box(&mut stack);
}
