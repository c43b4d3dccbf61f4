//! Where settings come from.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

/// The sources of settings. Flags take precedence over the environment, and the environment over the
/// file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config` or `INKPASS_CONFIG`.
    pub file: Option<PathBuf>,
    /// The environment, as `std::env::vars_os` gives it.
    pub environment: Vec<(OsString, OsString)>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--insecure-allow-all`: what says who may call need not be set.
    pub insecure_allow_all: bool,
}
