//! HMAC-SHA256 under a key that is not kept, and the fingerprints made with it.
//!
//! The stack is wiped after each use: a value leaves its bytes where it was before it was moved.

use std::{fmt, hint::black_box};

use hmac::{
    KeyInit,
    block_api::HmacCore,
    digest::{
        CtOutput, Output,
        block_api::{Buffer, FixedOutputCore, UpdateCore},
    },
};
use sha2::{Digest, Sha256};

use crate::hex;

type Core = HmacCore<Sha256>;

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// How much of the stack is wiped, in bytes: three times what an HMAC takes of it in a release build, and more than it does
/// in one that is not optimised.
const DEPTH: usize = if cfg!(debug_assertions) { 8 * 1024 } else { 2 * 1024 };

/// The state of an HMAC that has taken in its key and nothing else. It is computed once, is as secret
/// as the key, and is wiped on drop.
///
/// It has no block buffer, unlike a whole hasher: the first content of that comes from the stack, where
/// the key was just before.
#[derive(Clone)]
pub(super) struct MacKey(Box<Core>);

impl MacKey {
    /// Takes a key of any length.
    pub(super) fn new(key: &[u8]) -> Self {
        // HMAC hashes a long key and pads a short one with zeros to a block, which cannot be refused.
        wiping_stack(|| {
            let mut block = [0; BLOCK];
            if key.len() > BLOCK {
                block[..32].copy_from_slice(&Sha256::digest(key));
            } else {
                block[..key.len()].copy_from_slice(key);
            }
            Self(Box::new(Core::new(&block.into())))
        })
    }

    /// The MAC of a message.
    pub(super) fn of(&self, message: &[u8]) -> [u8; 32] {
        self.tag(message).into_bytes().into()
    }

    /// Whether `tag` is the MAC of a message, in a time that does not depend on where they differ.
    pub(super) fn verifies(&self, message: &[u8], tag: &[u8; 32]) -> bool {
        self.tag(message) == CtOutput::new((*tag).into())
    }

    fn tag(&self, message: &[u8]) -> CtOutput<Core> {
        wiping_stack(|| {
            let (mut core, mut buffer) = (Core::clone(&self.0), Buffer::<Core>::default());
            let mut tag = Output::<Core>::default();
            buffer.digest_blocks(message, |blocks| core.update_blocks(blocks));
            core.finalize_fixed_core(&mut buffer, &mut tag);
            CtOutput::new(tag)
        })
    }
}

/// Makes fingerprints under one salt. Without the salt a fingerprint cannot be matched to a token.
#[derive(Clone)]
pub struct Fingerprinter(MacKey);

/// The first 16 bytes of HMAC-SHA256(salt, token), shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprinter {
    /// Takes a salt of any length: random, and the same everywhere that fingerprints are compared.
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self(MacKey::new(salt))
    }

    /// The fingerprint of a token.
    #[must_use]
    pub fn of(&self, token: &str) -> Fingerprint {
        let mut first = [0; 16];
        first.copy_from_slice(&self.0.of(token.as_bytes())[..16]);
        Fingerprint(first)
    }

    /// Makes MACs under a key that is derived from the salt, another one for each purpose.
    #[must_use]
    pub fn sealer(&self, purpose: &str) -> Sealer {
        // No token begins so, as it is no UTF-8: no fingerprint tells anything of the key.
        let label = [b"\xffinkpass ", purpose.as_bytes()].concat();
        Sealer(MacKey::new(&self.0.of(&label)))
    }
}

/// Makes and checks the MACs of what is kept where others may write.
#[derive(Clone)]
pub struct Sealer(MacKey);

impl Sealer {
    /// HMAC-SHA256 of a message.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.0.of(message)
    }

    /// Whether a tag is the message's, in a time that does not depend on where they differ.
    #[must_use]
    pub fn verifies(&self, message: &[u8], tag: &[u8; 32]) -> bool {
        self.0.verifies(message, tag)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(***)")
    }
}

impl Fingerprint {
    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_text(self) -> String {
        hex::encode(&self.0)
    }

    /// Appends so many of its digits, at most 32.
    pub fn push_digits(self, out: &mut String, digits: usize) {
        let end = out.len() + digits;
        hex::push(out, &self.0);
        out.truncate(end);
    }
}

/// A precision gives the first digits alone.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_text())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

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
    // Nobody reads these zeros, and the compiler must not know.
    black_box(&mut [0_u8; DEPTH]);
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt, ptr};

    use super::*;

    const MARK: u8 = 0xa5;

    /// As much as is surely wiped, and more than what reads it back takes of the stack.
    const LEFT: usize = 3 * 512;

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
