//! Which hosts webhooks are sent to. An order names any URL, and the emulator stands inside of a network.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::net::lookup_host;

/// A host that webhooks may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookHost {
    /// This machine: the loopback addresses, and names that have one, at that address.
    Loopback,
    /// An address, and names that have it, at that address.
    Address(IpAddr),
    /// A name, in lower case, at every address that it has.
    Name(String),
}

impl FromStr for WebhookHost {
    type Err = &'static str;

    /// `loopback`, an IP address or a host name, without a port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "loopback" {
            return Ok(Self::Loopback);
        }
        if let Some(address) = address(text) {
            return Ok(Self::Address(address));
        }
        let name = text.to_ascii_lowercase();
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        // What a URL makes of it is what a webhook's URL will be compared with: `127.1` is an address there.
        let url = Url::parse(&format!("http://{name}/")).ok();
        if !is_plain || url.is_none_or(|url| url.host_str() != Some(&*name)) {
            return Err("must be loopback, a host name or an IP address, without a port");
        }
        Ok(Self::Name(name))
    }
}

/// All hosts that webhooks may be sent to.
#[derive(Clone)]
pub(super) struct WebhookHosts(Arc<[WebhookHost]>);

impl WebhookHosts {
    pub(super) fn new(hosts: &[WebhookHost]) -> Self {
        Self(hosts.into())
    }

    /// Refuses a URL with another address in it. A name is looked at when it is resolved, so that what was permitted
    /// is what is connected to.
    pub(super) fn check(&self, url: &Url) -> Result<(), NotPermitted> {
        let address = url.host_str().and_then(address);
        if address.is_none_or(|address| self.has_address(address)) { Ok(()) } else { Err(NotPermitted) }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|host| match host {
            WebhookHost::Loopback => address.is_loopback(),
            WebhookHost::Address(permitted) => permitted.to_canonical() == address,
            WebhookHost::Name(_) => false,
        })
    }

    fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|host| matches!(host, WebhookHost::Name(permitted) if permitted == name))
    }
}

impl Resolve for WebhookHosts {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let is_permitted = |address: &SocketAddr| hosts.has_name(name) || hosts.has_address(address.ip());
            let permitted: Vec<_> = lookup_host((name, 0)).await?.filter(is_permitted).collect();
            if permitted.is_empty() {
                return Err(NotPermitted.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// The host is none of [`WebhookHosts`].
#[derive(Debug)]
pub(super) struct NotPermitted;

impl NotPermitted {
    /// Whether it is why a request failed.
    pub(super) fn caused(error: &reqwest::Error) -> bool {
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
        causes.any(|cause| cause.downcast_ref::<Self>().is_some())
    }
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("webhooks may not be sent to this host")
    }
}

impl Error for NotPermitted {}

/// A host that is an address; IPv6 with or without its brackets.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_loopback_an_address_or_a_name() {
        let address = |text: &str| Ok(WebhookHost::Address(text.parse().unwrap()));
        for (text, expected) in [
            ("loopback", Ok(WebhookHost::Loopback)),
            ("10.1.2.3", address("10.1.2.3")),
            ("::1", address("::1")),
            ("[::1]", address("::1")),
            ("App.test", Ok(WebhookHost::Name("app.test".into()))),
            ("receiver", Ok(WebhookHost::Name("receiver".into()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in ["", " ", "a:80", "a/b", "http://a", "user@a", "127.1", "a b", "*"] {
            text.parse::<WebhookHost>().expect_err(text);
        }
    }

    #[test]
    fn a_url_with_another_address_in_it_is_refused_however_it_is_written() {
        let hosts = WebhookHosts::new(&[WebhookHost::Loopback, "10.1.2.3".parse().unwrap()]);
        for url in [
            "http://127.0.0.1/",
            "http://127.9.9.9:8080/x",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://2130706433/",
            "http://10.1.2.3/",
            "http://0x0a010203/",
        ] {
            assert!(hosts.check(&url.parse().unwrap()).is_ok(), "{url}");
        }
        for url in [
            "http://10.1.2.4/",
            "http://169.254.169.254/latest",
            "http://0xa9fea9fe/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:10.1.2.4]/",
            "http://127.0.0.1@10.1.2.4/",
        ] {
            assert!(hosts.check(&url.parse().unwrap()).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_has_only_the_addresses_that_are_permitted_unless_it_is_permitted_itself() {
        let resolve = async |hosts: &[&str], name: &str| {
            let hosts: Vec<_> = hosts.iter().map(|host| host.parse().unwrap()).collect();
            let addresses = WebhookHosts::new(&hosts).resolve(name.parse().unwrap()).await;
            addresses.map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>())
        };
        assert!(resolve(&["loopback"], "localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(!resolve(&["localhost"], "localhost").await.unwrap().is_empty());
        for others in [&["10.1.2.3"][..], &["receiver"], &[]] {
            let error = resolve(others, "localhost").await.unwrap_err();
            assert!(error.is::<NotPermitted>(), "{error}");
        }
    }
}
