//! Why a connection failed.

use std::{error::Error, fmt, io, path::PathBuf};

use crate::error_chain::Causes;

/// Why a connection failed.
#[derive(Debug)]
pub enum ConnectError {
    /// The server's URL is neither `http://host:port` nor `https://host:port`.
    InvalidServer,
    /// The URL is an `http://` one, although TLS was configured or a credential would cross a network in
    /// plaintext.
    PlaintextServer,
    /// A file of the options cannot be read.
    File(PathBuf, io::Error),
    /// Nothing responds there, or not as gRPC.
    Unreachable(tonic::transport::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidServer => f.write_str("a server's URL is http://host:port or https://host:port"),
            Self::PlaintextServer => f.write_str(
                "a credential or TLS needs an https:// URL of the server; a credential also goes to loopback, and \
                 with consent (--plaintext) where a mesh encrypts",
            ),
            Self::File(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Unreachable(error) => write!(f, "{error}{}", Causes(error)),
        }
    }
}

impl Error for ConnectError {}
