//! Where lines are written: standard output, or a file that log rotation tools rotate.
//!
//! A pipe is opened again, which makes it non-blocking for this writer alone. Where the system does
//! not allow that, a write may block.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
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

/// An open output.
pub(super) struct Sink {
    file: File,
    kind: SinkKind,
    /// The file ends with half a line: its process was killed, or its disk was full.
    ends_mid_line: bool,
    /// A write may block for as long as a reader likes.
    may_block: bool,
}

/// What can become of the file behind the writer's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Same,
    /// It is shorter than what was written.
    Truncated,
    /// It has another name, and all that was written. Of a pipe or device: another is there.
    Renamed,
    /// It has no name any more: what was written since the last look is lost.
    Removed,
    /// It is there, and all that was written; nobody can look at its path, for this reason.
    Hidden(io::ErrorKind),
}

enum SinkKind {
    Stdout,
    File {
        path: PathBuf,
        /// The expected length: a shorter file was truncated. `None` for a pipe or device.
        length: Option<u64>,
    },
}

impl Sink {
    /// Opens it; creates a missing file.
    pub(super) fn open(output: &Output) -> io::Result<Self> {
        match output {
            Output::Stdout => {
                let (file, may_block) = stdout()?;
                Ok(Self { file, kind: SinkKind::Stdout, ends_mid_line: false, may_block })
            }
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
        Ok(Self { file, kind: SinkKind::File { path, length }, ends_mid_line, may_block: false })
    }

    /// Whether a write may block for as long as a reader likes. A file's blocks for as long as its disk does.
    pub(super) const fn may_block(&self) -> bool {
        self.may_block
    }

    /// Reopens the file at its path. After an error the old one is still open.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let SinkKind::File { path, .. } = &self.kind {
            *self = Self::open_file(path.clone())?;
        }
        Ok(())
    }

    /// One `write(2)`; gives how many of `bytes` were accepted.
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
        if let SinkKind::File { length: Some(length), .. } = &mut self.kind {
            *length += written as u64;
        }
        Ok(written)
    }

    /// Waits until more can be written, or for so long.
    pub(super) fn wait(&self, longest: Duration) {
        let longest = Timespec::try_from(longest).ok();
        // An error shows at the next write.
        let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], longest.as_ref());
    }

    /// Whether it was opened by its path.
    pub(super) const fn has_path(&self) -> bool {
        matches!(self.kind, SinkKind::File { .. })
    }

    /// Whether it is a file that can be truncated.
    pub(super) const fn can_be_truncated(&self) -> bool {
        matches!(self.kind, SinkKind::File { length: Some(_), .. })
    }

    /// What became of the file since the last look.
    pub(super) fn look(&mut self) -> Fate {
        let SinkKind::File { path, length } = &mut self.kind else { return Fate::Same };
        let Ok(ours) = self.file.metadata() else { return Fate::Same };
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        let Some(length) = length else {
            // A pipe or device that is gone is made again by whoever made it.
            let is_other = fs::metadata(path).is_ok_and(|there| identity(&there) != identity(&ours));
            return if is_other { Fate::Renamed } else { Fate::Same };
        };
        let was_truncated = ours.len() < *length;
        *length = ours.len();
        match fs::metadata(path) {
            _ if ours.nlink() == 0 => Fate::Removed,
            _ if was_truncated => Fate::Truncated,
            Ok(there) if identity(&there) != identity(&ours) => Fate::Renamed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Fate::Renamed,
            Err(error) => Fate::Hidden(error.kind()),
            Ok(_) => Fate::Same,
        }
    }
}

/// The file must not be empty.
fn ends_mid_line(path: &Path) -> bool {
    let mut last = [0];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last != *b"\n"
}

/// Standard output, and whether a write to it may block.
fn stdout() -> io::Result<(File, bool)> {
    let inherited = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let kind = inherited.metadata()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return Ok((inherited, !kind.is_file()));
    }
    // O_NONBLOCK belongs to the open file description, which other processes such as a shell share.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let own = OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open("/proc/self/fd/1");
    // Another user's pipe cannot be opened. Then a write may block the thread only.
    Ok(own.map_or((inherited, true), |own| (own, false)))
}
