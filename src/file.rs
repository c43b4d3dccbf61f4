//! Reads the service's files. Each is opened once, so that its mode and its content are of the same file,
//! also where it is replaced meanwhile.
//!
//! A pipe is not waited for, a limit bounds the read, and the content is wiped when it is dropped.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// The most that is read of a file that has no length, such as one in /proc.
const UNKNOWN_LENGTH: u64 = 4096;

/// A regular file that is open.
pub(crate) struct OpenFile {
    file: File,
    length: u64,
    mode: u32,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a file")]
    NotAFile,
    /// Other users may read it.
    #[error("is open to other users (mode {0:04o}): chmod 0440 it, or set the volume's defaultMode: 0440")]
    OpenToOthers(u32),
    /// Other users may change it.
    #[error("can be changed by other users (mode {0:04o}): chmod o-w it")]
    ChangeableByOthers(u32),
    /// It is longer than so many bytes.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    /// It holds something other than text.
    #[error("is not UTF-8")]
    NotText,
}

/// Everything in a file of at most `longest` bytes.
///
/// # Errors
/// [`FileError`], but not for what others may read.
pub(crate) fn read(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    OpenFile::open(path)?.read(longest)
}

/// The same of a text.
///
/// # Errors
/// Those of [`read`], and [`FileError::NotText`].
pub(crate) fn read_text(path: &Path, longest: u64) -> Result<Zeroizing<String>, FileError> {
    let content = std::mem::take(&mut *read(path, longest)?);
    String::from_utf8(content).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        FileError::NotText
    })
}

impl OpenFile {
    /// # Errors
    /// [`FileError::Unreadable`], [`FileError::NotAFile`] or [`FileError::ChangeableByOthers`].
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        // Opening a pipe would wait for its writer.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile);
        }
        let mode = metadata.permissions().mode() & 0o7777;
        match mode & 0o002 {
            0 => Ok(Self { file, length: metadata.len(), mode }),
            _ => Err(FileError::ChangeableByOthers(mode)),
        }
    }

    /// Its permission bits.
    pub(crate) const fn mode(&self) -> u32 {
        self.mode
    }

    /// # Errors
    /// [`FileError::OpenToOthers`].
    pub(crate) const fn check_closed(&self) -> Result<(), FileError> {
        match self.mode & 0o007 {
            0 => Ok(()),
            _ => Err(FileError::OpenToOthers(self.mode)),
        }
    }

    /// Its content.
    ///
    /// # Errors
    /// [`FileError::TooLong`] if it is longer than `longest` bytes; [`FileError::Unreadable`], also if it
    /// grows while it is read.
    pub(crate) fn read(self, longest: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
        if self.length > longest {
            return Err(FileError::TooLong(longest));
        }
        let most = self.length.max(UNKNOWN_LENGTH).min(longest);
        // With space for one byte too many: growing would leave an unwiped copy behind.
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(most).unwrap_or_default() + 1));
        let read = self.file.take(most + 1).read_to_end(&mut content)? as u64;
        match read > most {
            false => Ok(content),
            true if most == longest => Err(FileError::TooLong(longest)),
            true => Err(FileError::Unreadable(io::Error::other("it grew while it was read"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn read(path: &Path, longest: u64) -> Result<Vec<u8>, String> {
        super::read(path, longest).map(|content| content.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(read(file.path(), 3), Ok(Vec::new()));
        file.write_all(b"abc").unwrap();
        assert_eq!(read(file.path(), 3), Ok(b"abc".to_vec()));
        assert_eq!(read(file.path(), 2), Err("is longer than 2 bytes".to_owned()));
    }

    #[test]
    fn what_grows_after_it_was_opened_is_not_half_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (longest, what) in [
            (100_000, "cannot be read: it grew while it was read"),
            (UNKNOWN_LENGTH, "is longer than 4096 bytes"),
        ] {
            file.as_file().set_len(0).unwrap();
            let open = OpenFile::open(file.path()).unwrap();
            file.write_all(&[b'x'; 5000]).unwrap();
            assert_eq!(open.read(longest).unwrap_err().to_string(), what);
        }
    }

    #[test]
    fn a_file_that_does_not_say_how_long_it_is_can_be_read() {
        assert!(!read(Path::new("/proc/self/cmdline"), 1_000_000).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [directory.path(), &pipe, Path::new("/dev/null")] {
            assert_eq!(read(path, 10), Err("is not a file".to_owned()), "{}", path.display());
        }
    }

    #[test]
    fn what_others_may_do_is_judged_by_the_file_that_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "").unwrap();
        for (mode, is_closed) in [(0o440, true), (0o660, true), (0o444, false), (0o601, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let open = OpenFile::open(&path).unwrap();
            assert_eq!((open.mode(), open.check_closed().is_ok()), (mode, is_closed));
            fs::remove_file(&path).unwrap();
            fs::write(&path, "").unwrap();
            assert_eq!(open.check_closed().is_ok(), is_closed);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        let error = OpenFile::open(&path).err().unwrap().to_string();
        assert_eq!(error, "can be changed by other users (mode 0646): chmod o-w it");
    }
}
