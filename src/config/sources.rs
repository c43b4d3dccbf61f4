//! Where settings come from.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf};

/// The sources of settings. Flags take precedence over the environment, and the environment over the
/// file.
#[derive(Clone, Default)]
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

impl fmt::Debug for Sources {
    /// Without the environment: passwords of proxies and headers for a collector may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("listen", &self.listen)
            .field("admin_listen", &self.admin_listen)
            .field("insecure_allow_all", &self.insecure_allow_all)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_not_shown() {
        let environment = vec![("HTTPS_PROXY".into(), "http://user:secret@proxy".into())];
        let shown = format!("{:?}", Sources { environment, ..Sources::default() });
        assert!(shown.contains("insecure_allow_all: false") && !shown.contains("secret"), "{shown}");
    }
}
