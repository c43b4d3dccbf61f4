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
