//! What of a key is in memory while it is used, and once it was replaced: row 43 of the fault cases.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use inkpass::proto::Role;
use sha2::block_api::compress256;

use crate::{
    decisions::{
        FAST_WATCHES, issue,
        program::{ACCEPTED, Files, Program},
        room, until, watch_a_conversion, watching,
    },
    helpers::canary::{CANARY, PIECE, secret_of},
};

/// What SHA-256 begins with.
const SHA256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// What HMAC masks a key with: within, and around.
const MASKS: [u8; 2] = [0x36, 0x5c];

/// The unit of /proc/PID/pagemap.
const PAGE: u64 = 4096;

/// What a process has in memory and could change; what cannot be read is passed over, and what was never touched: the
/// allocator reserves a gigabyte.
fn read_memory(process: u32) -> io::Result<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mut memory = File::open(format!("/proc/{process}/mem"))?;
    let pages = File::open(format!("/proc/{process}/pagemap"))?;
    let mut bytes = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut entries = vec![0; usize::try_from((end - start) / PAGE * 8).unwrap()];
        pages.read_exact_at(&mut entries, start / PAGE * 8)?;
        // The two highest bits: in memory, or swapped out.
        let is_touched = |entry: &[u8]| entry[7] >> 6 != 0;
        for (page, _) in entries.chunks(8).enumerate().filter(|(_, entry)| is_touched(entry)) {
            memory.seek(SeekFrom::Start(start + page as u64 * PAGE))?;
            let _ = memory.by_ref().take(PAGE).read_to_end(&mut bytes);
        }
    }
    Ok(bytes)
}

/// How often this is in memory.
fn count(memory: &[u8], wanted: &[u8]) -> usize {
    let begins = memory.iter().enumerate().filter(|(_, byte)| **byte == wanted[0]);
    begins.filter(|(at, _)| memory[*at..].starts_with(wanted)).count()
}

/// The pieces of the key that are in memory, as they are or masked.
fn pieces(memory: &[u8]) -> Vec<(usize, u8)> {
    let pieces = CANARY.as_bytes().chunks_exact(PIECE).enumerate();
    let masked = pieces.flat_map(|(index, piece)| [0, MASKS[0], MASKS[1]].map(|mask| (index, piece, mask)));
    let is_there = |(_, piece, mask): &(usize, &[u8], u8)| {
        count(memory, &piece.iter().map(|byte| byte ^ mask).collect::<Vec<_>>()) > 0
    };
    masked.filter(is_there).map(|(index, _, mask)| (index, mask)).collect()
}

/// How often either half of a key's inner and outer HMAC state is in memory: as good as the key.
fn states(memory: &[u8], access_key: &str) -> Vec<usize> {
    let secret = secret_of(access_key);
    let halves = MASKS.map(|mask| {
        let mut block = [mask; 64];
        block.iter_mut().zip(secret.bytes()).for_each(|(masked, byte)| *masked ^= byte);
        let mut state = SHA256;
        compress256(&mut state, &[block]);
        let bytes = state.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
        [count(memory, &bytes[..16]), count(memory, &bytes[16..])]
    });
    halves.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_use_is_in_memory_as_its_hmac_state_once_and_a_replaced_one_is_not_there() {
    let program = Program::start(&watching(), FAST_WATCHES).await;
    let teacher = program.client("key:teacher").await;
    // It lives on with the next keys, or ends: it must keep none that was replaced.
    let _watch = watch_a_conversion(&teacher).await;
    let signer = async || issue(&teacher, room("r", Role::Reader)).await.unwrap().access_key;
    for (swaps, name) in ACCEPTED.iter().enumerate() {
        if swaps > 0 {
            program.mount(&format!("..swap{swaps}"), &[Files::of(name)]);
        }
        until(name, async || signer().await == *name).await;
        for _ in 0..20 {
            signer().await;
        }
        // A read under way ends with the key that it began with.
        let is_alone = async || {
            let memory = read_memory(program.id()).unwrap();
            ACCEPTED.iter().all(|known| known == name || states(&memory, known) == [0; 4])
        };
        until("the keys before are gone", is_alone).await;
        let memory = read_memory(program.id()).unwrap();
        assert!(count(&memory, name.as_bytes()) > 0, "the memory was read");
        assert_eq!(pieces(&memory), [], "pieces of the key, and their masks");
        for known in ACCEPTED {
            let copies = usize::from(known == *name);
            assert_eq!(states(&memory, known), [copies; 4], "{known}, as {name} signs");
        }
    }
}
