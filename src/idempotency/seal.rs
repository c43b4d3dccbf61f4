//! Entries as the store holds them: bytes and their MAC. Who can write to the store cannot choose what they say.

use super::{
    claim::{Entry, Outcome, State},
    types::KeyDigest,
};
use crate::token::Sealer;

/// The first byte of a value: what follows is laid out as below. A layout that differs has another.
const VERSION: u8 = 1;

/// The longest outcome that is kept, in bytes; a room's is some hundred. A longer one is kept as unknown.
pub(super) const LONGEST_OUTCOME: usize = 4 * 1024;

/// Version, state, owner, arguments; then the outcome, and a MAC over the key and all of it.
const HEADER: usize = 1 + 1 + 16 + 32;
const TAG: usize = 32;

const CLAIMED: u8 = 1;
const SENDING: u8 = 2;
const MADE: u8 = 3;
const UNKNOWN: u8 = 4;

/// The value does not verify: it is none that a replica wrote for this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

/// The value of an entry.
pub(super) fn seal(sealer: &Sealer, key: KeyDigest, entry: &Entry) -> Vec<u8> {
    let (state, outcome) = match &entry.state {
        State::Claimed => (CLAIMED, &[][..]),
        State::Sending => (SENDING, &[][..]),
        State::Done(Outcome::Made(made)) if made.len() <= LONGEST_OUTCOME => (MADE, &**made),
        State::Done(_) => (UNKNOWN, &[][..]),
    };
    let mut value = Vec::with_capacity(HEADER + outcome.len() + TAG + key.len());
    value.extend([VERSION, state]);
    value.extend(entry.owner);
    value.extend(entry.arguments);
    value.extend(outcome);
    let tag = sealer.tag(&[&*value, &key].concat());
    value.extend(tag);
    value
}

/// The entry of a value.
///
/// # Errors
/// [`Forged`].
pub(super) fn open(sealer: &Sealer, key: KeyDigest, value: &[u8]) -> Result<Entry, Forged> {
    let (body, tag) = value.split_last_chunk::<TAG>().ok_or(Forged)?;
    if !sealer.verifies(&[body, &key].concat(), tag) {
        return Err(Forged);
    }
    let (header, outcome) = body.split_first_chunk::<HEADER>().ok_or(Forged)?;
    let state = match (header[0], header[1], outcome) {
        (VERSION, CLAIMED, []) => State::Claimed,
        (VERSION, SENDING, []) => State::Sending,
        (VERSION, MADE, made) => State::Done(Outcome::Made(made.to_vec())),
        (VERSION, UNKNOWN, []) => State::Done(Outcome::Unknown),
        _ => return Err(Forged),
    };
    let (mut owner, mut arguments) = ([0; 16], [0; 32]);
    owner.copy_from_slice(&header[2..18]);
    arguments.copy_from_slice(&header[18..]);
    Ok(Entry { owner, arguments, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Fingerprinter;

    const KEY: KeyDigest = [7; 16];

    fn sealer(salt: &[u8]) -> Sealer {
        Fingerprinter::new(salt).sealer("request_ids")
    }

    fn entry(state: State) -> Entry {
        Entry { owner: [1; 16], arguments: [2; 32], state }
    }

    #[test]
    fn what_is_sealed_is_opened_and_what_is_changed_is_not() {
        let sealer = sealer(b"salt");
        let states = [
            State::Claimed,
            State::Sending,
            State::Done(Outcome::Made(b"room".to_vec())),
            State::Done(Outcome::Made(Vec::new())),
            State::Done(Outcome::Unknown),
        ];
        for state in states {
            let value = seal(&sealer, KEY, &entry(state.clone()));
            assert_eq!(open(&sealer, KEY, &value), Ok(entry(state)));
            for at in 0..value.len() {
                let mut changed = value.clone();
                changed[at] ^= 1;
                assert_eq!(open(&sealer, KEY, &changed), Err(Forged), "byte {at}");
                assert_eq!(open(&sealer, KEY, &value[..at]), Err(Forged), "cut at {at}");
            }
            assert_eq!(open(&sealer, [8; 16], &value), Err(Forged), "another key's");
            assert_eq!(open(&self::sealer(b"other"), KEY, &value), Err(Forged), "under another salt");
        }
    }

    #[test]
    fn an_outcome_that_is_too_long_is_kept_as_unknown() {
        let sealer = sealer(b"salt");
        let long = entry(State::Done(Outcome::Made(vec![0; LONGEST_OUTCOME + 1])));
        let value = seal(&sealer, KEY, &long);
        assert_eq!(open(&sealer, KEY, &value), Ok(entry(State::Done(Outcome::Unknown))));
    }
}
