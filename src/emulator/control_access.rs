//! Who may use the emulator's own controls: programs, and no page of a browser.
//!
//! A browser names the page's origin in whatever could change something. It need not in a read, where the page's own
//! name was made to lead to this machine (DNS rebinding); then that name is the host.

use axum::http::{
    header::{HOST, ORIGIN},
    request::Parts,
    uri::Authority,
};

use super::{answer::ApiError, webhook_hosts::address};

/// Where names end that nobody can have in the public DNS: those of this machine, of a network, of Kubernetes.
const PRIVATE: [&str; 5] = ["internal", "local", "localhost", "svc", "test"];

/// Refuses what may come from a page.
pub(super) fn check(parts: &Parts) -> Result<(), ApiError> {
    if parts.headers.contains_key(ORIGIN) {
        return Err(ApiError::denied(
            "the controls are for no page of a browser, and this request has an Origin",
        ));
    }
    // By HTTP/2 it stands in the URI.
    let host = match parts.headers.get(HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => parts.uri.authority().cloned(),
    };
    if host.is_some_and(|host| is_private(&host)) {
        return Ok(());
    }
    Err(ApiError::denied(
        "the controls are not used by this host name: use an IP address, localhost, a name without a dot, or one \
         that ends in .internal, .local, .svc or .test",
    ))
}

/// Whether no page of another origin can have come by this host.
fn is_private(authority: &Authority) -> bool {
    let host = authority.host().to_ascii_lowercase();
    let is_name = match host.rsplit_once('.') {
        Some((_, last)) => PRIVATE.contains(&last),
        None => !host.is_empty(),
    };
    is_name || address(&host).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name_that_no_page_can_have() {
        let is_private = |host: &str| is_private(&host.parse().unwrap());
        for host in [
            "127.0.0.1:8089",
            "10.1.2.3",
            "[::1]:8089",
            "localhost:8089",
            "LOCALHOST",
            "app.localhost",
            "emulator:8089",
            "inkpass-emulator.inkpass.svc:8089",
            "inkpass-emulator.inkpass.svc.cluster.local",
            "host.docker.internal",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8089",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example.",
        ] {
            assert!(!is_private(host), "{host}");
        }
    }
}
