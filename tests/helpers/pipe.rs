//! Pipes that nobody reads.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::OpenOptionsExt,
    },
};

use rustix::fs::OFlags;

/// A non-blocking writer of a pipe, with its own file description: other writers still block.
pub(crate) fn filler(pipe: &impl AsFd) -> File {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
    OpenOptions::new().write(true).custom_flags(flags).open(path).unwrap()
}

/// Fills a pipe until no byte more fits.
pub(crate) fn fill(filler: &mut File) {
    for size in [4096, 1] {
        loop {
            match filler.write(&vec![b'\n'; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
