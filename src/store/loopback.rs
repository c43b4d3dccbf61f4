//! Keeps a plain connection on loopback where it is not allowed elsewhere: Sentinels and nodes of a Cluster name others.

use std::net::SocketAddr;

use futures_util::FutureExt;
use redis::{ErrorKind, RedisError, RedisFuture, RedisResult, io::AsyncDNSResolver};
use tokio::net::lookup_host;

use crate::loopback::is_loopback;

/// Whether this host, which another one named, may be connected to.
///
/// # Errors
/// It is off loopback.
pub(super) fn stays(host: &str) -> RedisResult<()> {
    let what = "it names a host off loopback, which redis:// needs store.allow_plaintext = true for";
    if is_loopback(host) { Ok(()) } else { Err(RedisError::from((ErrorKind::InvalidClientConfig, what))) }
}

/// Resolves what is on loopback, and nothing else.
pub(super) struct OnLoopback;

impl AsyncDNSResolver for OnLoopback {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        async move {
            stays(host)?;
            let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_off_loopback_is_not_resolved() {
        for (host, stays) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("store", false)] {
            assert_eq!(OnLoopback.resolve(host, 1).await.is_ok(), stays, "{host}");
        }
    }
}
