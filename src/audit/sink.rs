//! Where lines go: standard output, or a file that the usual tools rotate.
//!
//! Nothing here waits for a reader where the system allows that: a pipe is opened anew, so that it
//! can be made non-blocking for this writer alone.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};

use super::settings::Output;

/// The mode of a new file: its group may read it.
const MODE: u32 = 0o640;

/// What lines are written to.
pub(super) struct Sink {
    file: File,
    target: Target,
    /// Half a line stands at its end: of a process that was killed, or on a disk that was full.
    ends_mid_line: bool,
}

enum Target {
    Stdout,
    File {
        path: PathBuf,
        /// As long as it must be, unless somebody truncated it. `None` for what has no length.
        length: Option<u64>,
    },
}

impl Sink {
    /// Opens it; a file is made if there is none.
    pub(super) fn open(output: &Output) -> io::Result<Self> {
        match output {
            Output::Stdout => Ok(Self { file: stdout()?, target: Target::Stdout, ends_mid_line: false }),
            Output::File(path) => Self::open_file(path.clone()),
        }
    }

    fn open_file(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(MODE).custom_flags(flags.bits().cast_signed());
        let file = options.open(&path)?;
        let metadata = file.metadata()?;
        let length = metadata.is_file().then_some(metadata.len());
        let ends_mid_line = matches!(length, Some(1..)) && ends_mid_line(&path);
        Ok(Self { file, target: Target::File { path, length }, ends_mid_line })
    }

    /// Opens the file anew, at the same path. After an error the old one is still open.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Target::File { path, .. } = &self.target {
            *self = Self::open_file(path.clone())?;
        }
        Ok(())
    }

    /// One `write(2)`; gives how much of `bytes` was accepted, from their beginning.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ends_mid_line {
            self.write_some(b"\n")?;
            self.ends_mid_line = false;
        }
        self.write_some(bytes)
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if let Target::File { length: Some(length), .. } = &mut self.target {
            *length += written as u64;
        }
        Ok(written)
    }

    /// Waits until more can be written, or for so long.
    pub(super) fn wait(&self, longest: Duration) {
        let longest = Timespec::try_from(longest).ok();
        // Whatever it says, the next write knows better.
        let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], longest.as_ref());
    }

    /// Whether it is a file that somebody can truncate.
    pub(super) const fn can_shrink(&self) -> bool {
        matches!(self.target, Target::File { length: Some(_), .. })
    }

    /// Whether somebody truncated it since this was last asked.
    pub(super) fn has_shrunk(&mut self) -> bool {
        let Target::File { length: Some(length), .. } = &mut self.target else { return false };
        let Ok(metadata) = self.file.metadata() else { return false };
        let has_shrunk = metadata.len() < *length;
        *length = metadata.len();
        has_shrunk
    }
}

/// Of a file that is not empty.
fn ends_mid_line(path: &Path) -> bool {
    let mut last = [0];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last != *b"\n"
}

fn stdout() -> io::Result<File> {
    let inherited = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let kind = inherited.metadata()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return Ok(inherited);
    }
    // O_NONBLOCK belongs to the open file description, which others share: the shell, for one.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let own = OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open("/proc/self/fd/1");
    // Somebody else's pipe may not be opened; it is then written to as it is, and may block the
    // thread that writes, which nothing but its own end waits for.
    Ok(own.unwrap_or(inherited))
}
