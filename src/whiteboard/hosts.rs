//! The hosts that calls go to: one for all regions, or another for some.

use std::{array, io, net::ToSocketAddrs, sync::Arc, time::Duration};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use url::Url;

use super::settings::Settings;
use crate::{outgoing, own_thread::OwnThread, region::Region};

/// Below the upstream's own, so that a connection is seldom used while it is being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// When a connection of HTTP/2 is asked whether it lives, after a silence during a call, and how long its answer may take:
/// together as long as a call. Without this a dead one would get all later calls too.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// How many lookups of a host's name are under way at most. Each holds a thread of those that read files too, and goes on
/// when its call no longer waits for it.
const MOST_LOOKUPS: usize = 8;

/// Where the calls of a region go. Its connections are its own.
pub(super) struct Host {
    pub(super) http: Client,
    pub(super) base_url: String,
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) thread: OwnThread,
}

/// Every region's host.
pub(super) struct Hosts([Arc<Host>; Region::ALL.len()]);

impl Hosts {
    pub(super) fn new(settings: &Settings) -> io::Result<Self> {
        let usual = Arc::new(Host::new(&settings.base_url, settings)?);
        let mut hosts = array::from_fn(|_| usual.clone());
        for (region, url) in &settings.base_urls {
            hosts[*region as usize] = Arc::new(Host::new(url, settings)?);
        }
        Ok(Self(hosts))
    }

    /// The one host that calls of this region are sent to.
    pub(super) fn of(&self, region: Region) -> &Host {
        &self.0[region as usize]
    }
}

impl Host {
    fn new(url: &Url, settings: &Settings) -> io::Result<Self> {
        let builder = outgoing::client(url, &settings.route)
            .map_err(io::Error::other)?
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .dns_resolver(Arc::new(Resolver(Arc::new(Semaphore::new(MOST_LOOKUPS)))));
        let builder = match &settings.roots {
            Some(roots) if url.scheme() == "https" => builder.tls_certs_merge(roots.certificates()),
            _ => builder,
        };
        Ok(Self {
            http: builder.build().map_err(io::Error::other)?,
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            name: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            thread: OwnThread::start("whiteboard")?,
        })
    }
}

/// The system's own lookup of names, few at a time.
struct Resolver(Arc<Semaphore>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let places = self.0.clone();
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            let lookup = spawn_blocking(move || {
                let _place = place;
                (name.as_str(), 0).to_socket_addrs()
            });
            Ok(Box::new(lookup.await??) as Addrs)
        })
    }
}
