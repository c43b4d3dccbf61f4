//! `store.url_file`: where the store is, and how it is reached.

use std::{fmt, sync::Arc};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::loopback::is_loopback;

/// Where the store is. It holds a password, so its `Debug` shows none of it.
#[derive(Clone)]
pub struct Address {
    pub(super) kind: Kind,
    /// The instance; or the Sentinels, or the nodes of the Cluster that are asked first.
    pub(super) nodes: Vec<ConnectionInfo>,
    /// What Sentinels are shown, where it is not the store's credential.
    pub(super) sentinel: Option<RedisConnectionInfo>,
    /// CAs in PEM, instead of the system's.
    pub(super) roots: Option<Arc<[u8]>>,
    /// Whether what Sentinels or nodes name is left alone where it is off loopback.
    pub(super) stays_on_loopback: bool,
}

/// What is at the nodes' addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The store itself.
    Instance,
    /// Sentinels, which know where it is.
    Sentinel {
        /// The name that they call it by.
        master: String,
    },
    /// Nodes of a Cluster.
    Cluster,
}

const FORMS: &str = "must be redis://HOST, redis+sentinel://HOST,HOST/MASTER or redis+cluster://HOST,HOST, each also with \
                     rediss, USER:PASSWORD@ and :PORT";

const OF_SENTINELS: &str =
    "must end with ?sentinel=USER:PASSWORD, where Sentinels want another credential than the store";

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, without any of it.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        if !matches!(scheme, "redis" | "rediss")
            || rest.contains('#')
            || (query.is_some() && kind != "sentinel")
        {
            return Err(FORMS);
        }
        let (credential, rest) = rest.split_at(rest.rfind('@').map_or(0, |at| at + 1));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (kind, database, port) = match kind {
            "" if !hosts.contains(',') => (Kind::Instance, path, 6379),
            "cluster" if path.is_empty() => (Kind::Cluster, "", 6379),
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err("must end with /MASTER, the name that the Sentinels call the store by");
                }
                (Kind::Sentinel { master: master.to_owned() }, database, 26379)
            }
            _ => return Err(FORMS),
        };
        if database.starts_with('-') {
            return Err("must end with the number of a database");
        }
        let node = |host: &str| {
            let port = if has_port(host) { String::new() } else { format!(":{port}") };
            let node = format!("{scheme}://{credential}{host}{port}/{database}");
            node.into_connection_info().map_err(|_| FORMS)
        };
        let nodes = hosts.split(',').map(node).collect::<Result<_, _>>()?;
        let sentinel = query.map(of_sentinels).transpose()?;
        Ok(Self { kind, nodes, sentinel, roots: None, stays_on_loopback: false })
    }

    /// Leaves alone what Sentinels or nodes name that is off loopback.
    #[must_use]
    pub fn staying_on_loopback(self) -> Self {
        Self { stays_on_loopback: true, ..self }
    }

    /// Trusts these CAs, in PEM, and no others.
    #[must_use]
    pub fn with_roots(self, pem: &[u8]) -> Self {
        Self { roots: Some(pem.into()), ..self }
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }))
    }

    /// Whether what Sentinels or nodes name is left alone where it is off loopback.
    #[must_use]
    pub const fn stays_on_loopback(&self) -> bool {
        self.stays_on_loopback
    }

    /// Whether what is sent to it can be read on the way.
    #[must_use]
    pub fn is_readable_on_the_way(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| matches!(node.addr(), ConnectionAddr::Tcp(host, _) if !is_loopback(host)))
    }
}

/// The credential of `sentinel=USER:PASSWORD`.
fn of_sentinels(query: &str) -> Result<RedisConnectionInfo, &'static str> {
    let node = query.strip_prefix("sentinel=").filter(|credential| !credential.contains(['&', '#']));
    let node =
        node.and_then(|credential| format!("redis://{credential}@sentinel").into_connection_info().ok());
    let credential = node.map(|node| node.redis_settings().clone());
    credential.filter(|credential| credential.password().is_some()).ok_or(OF_SENTINELS)
}

/// An IPv6 address has colons too, in its brackets.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'))
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(url: &str) -> Vec<String> {
        Address::parse(url).unwrap().nodes.iter().map(|node| node.addr().to_string()).collect()
    }

    #[test]
    fn every_form_of_the_contract_is_read() {
        assert_eq!(nodes("redis://store"), ["store:6379"]);
        assert_eq!(nodes("rediss://user:p%40ss@store:1/2"), ["store:1"]);
        assert_eq!(nodes("redis://[::1]"), ["::1:6379"]);
        assert_eq!(nodes("redis+sentinel://a,b:1/main"), ["a:26379", "b:1"]);
        assert_eq!(nodes("rediss+cluster://:pass@a,b:1"), ["a:6379", "b:1"]);

        let address = Address::parse("rediss://user:p%40ss@store/2").unwrap();
        let redis = address.nodes[0].redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("user"), Some("p@ss"), 2));
        assert!(address.is_tls() && !address.is_readable_on_the_way());
        // What is not encoded and need not be, what is, and what is no encoding.
        for (written, password) in [("p@ss", "p@ss"), ("%2F%3A%25%40", "/:%@"), ("p%zz%", "p%zz%"), ("", "")]
        {
            let address = Address::parse(&format!("redis://user:{written}@store")).unwrap();
            assert_eq!(address.nodes[0].redis_settings().password().unwrap_or_default(), password);
        }
        let address = Address::parse("redis+sentinel://:pass@127.0.0.1/main/3").unwrap();
        assert_eq!(address.kind, Kind::Sentinel { master: "main".to_owned() });
        let redis = address.nodes[0].redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (None, Some("pass"), 3));
        assert!(!address.is_tls() && !address.is_readable_on_the_way() && address.sentinel.is_none());
        let address = Address::parse("redis+sentinel://u:store@a/main/3?sentinel=watch:p%40s%26s").unwrap();
        let (store, sentinel) = (address.nodes[0].redis_settings(), address.sentinel.as_ref().unwrap());
        assert_eq!((store.username(), store.password(), store.db()), (Some("u"), Some("store"), 3));
        assert_eq!((sentinel.username(), sentinel.password()), (Some("watch"), Some("p@s&s")));
        let address = Address::parse("redis+sentinel://a/main?sentinel=:pass").unwrap();
        assert_eq!(address.sentinel.unwrap().password(), Some("pass"));
        assert!(Address::parse("redis+cluster://127.0.0.1,a").unwrap().is_readable_on_the_way());
    }

    #[test]
    fn other_urls_are_refused_and_not_repeated() {
        for url in [
            "",
            "store",
            "http://store",
            "redis://",
            "redis://a,b",
            "redis://secret@a/x",
            "redis://a?protocol=3",
            "rediss://a#insecure",
            "redis+cluster://a/1",
            "redis+sentinel://a",
            "redis+sentinel:///main",
            "redis+other://a",
            "redis://0.0.0.0",
            "redis://a:x",
            "redis://a/-1",
            "redis://user:secret/1@a",
            "redis://:sec%ffret@a",
            "redis://a?sentinel=:secret",
            "redis+sentinel://a?sentinel=:secret",
            "redis+sentinel://a/main?",
            "redis+sentinel://a/main?sentinel=",
            "redis+sentinel://a/main?sentinel=secret",
            "redis+sentinel://a/main?password=secret",
            "redis+sentinel://a/main?sentinel=:secret&x=y",
        ] {
            let error = Address::parse(url).map(|_| ()).unwrap_err();
            assert!(error.starts_with("must ") && !error.contains("secret"), "{url}: {error}");
        }
        let address = Address::parse("redis://user:secret@a").unwrap();
        assert_eq!(format!("{address:?}"), "Address(***)");
    }
}
