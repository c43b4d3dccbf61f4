//! HMAC-SHA256 under a key that is not kept.

use hmac::{
    KeyInit,
    block_api::HmacCore,
    digest::{
        CtOutput, Output,
        block_api::{Buffer, FixedOutputCore, UpdateCore},
    },
};
use sha2::{Digest, Sha256};

use super::wipe::wiping_stack;

type Core = HmacCore<Sha256>;

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

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
