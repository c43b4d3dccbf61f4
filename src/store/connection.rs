//! One connection to the store, whatever it is: an instance, the one that Sentinels name, or a Cluster.

use std::{collections::HashMap, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisConnectionInfo, RedisResult, TlsCertificates,
    TlsMode,
    aio::MultiplexedConnection,
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    cmd, from_redis_value,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};

use super::{
    address::{Address, Kind},
    loopback::{OnLoopback, stays},
};

/// How long a node has to be connected to; in a Cluster also to answer, and how often a message is sent on to another one.
const NODE_CONNECT: Duration = Duration::from_millis(500);
const NODE_ANSWER: Duration = Duration::from_millis(250);
const REDIRECTIONS: u32 = 2;

/// A connection. Its clones share it, and so do calls at once.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Address {
    /// Connects. It takes as long as it takes: its caller has a limit.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        // Each call has a limit of its own, which covers all of its messages.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(NODE_CONNECT))
            .set_response_timeout(None);
        match &self.kind {
            Kind::Instance => {
                let node = self.nodes[0].clone();
                let client = match self.certificates() {
                    Some(certificates) => Client::build_with_tls(node, certificates)?,
                    None => Client::open(node)?,
                };
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::One)
            }
            Kind::Sentinel { master } => {
                let asked = self.ask_sentinels(master, self.sentinel.as_ref(), &config).await;
                let asked = match (asked, self.nodes[0].redis_settings()) {
                    // Some want a credential, and others refuse one.
                    (Err(error), store) if self.sentinel.is_none() && store.password().is_some() => {
                        self.ask_sentinels(master, Some(store), &config).await.map_err(|_| error)
                    }
                    (asked, _) => asked,
                };
                asked.map(Connection::One)
            }
            Kind::Cluster => {
                let builder = ClusterClientBuilder::new(self.nodes.clone())
                    .connection_timeout(NODE_CONNECT)
                    .response_timeout(NODE_ANSWER)
                    .retries(REDIRECTIONS);
                let builder = match self.certificates() {
                    Some(certificates) => builder.certs(certificates),
                    None => builder,
                };
                let builder =
                    if self.stays_on_loopback { builder.async_dns_resolver(OnLoopback) } else { builder };
                builder.build()?.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }

    /// `credential`: what Sentinels are shown.
    async fn ask_sentinels(
        &self,
        master: &str,
        credential: Option<&RedisConnectionInfo>,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let mut sentinels = self.sentinels(master, credential)?;
        if self.stays_on_loopback {
            // Before the store's password is sent there.
            let sentinel = sentinels.async_get_sentinel_client().await?;
            let mut sentinel = sentinel.get_multiplexed_async_connection_with_config(config).await?;
            let masters = cmd("SENTINEL").arg("MASTERS").query_async(&mut sentinel).await?;
            let masters: Vec<HashMap<String, String>> = masters;
            let named = masters.iter().filter(|named| named.get("name").is_some_and(|name| name == master));
            named.filter_map(|named| named.get("ip")).try_for_each(|host| stays(host))?;
        }
        sentinels.get_async_connection_with_config(config).await
    }

    fn sentinels(
        &self,
        master: &str,
        credential: Option<&RedisConnectionInfo>,
    ) -> RedisResult<SentinelClient> {
        let addresses = self.nodes.iter().map(|node| node.addr().clone());
        let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?;
        let redis = self.nodes[0].redis_settings();
        builder = builder.set_client_to_redis_db(redis.db());
        if let Some(username) = redis.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = redis.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(username) = credential.and_then(RedisConnectionInfo::username) {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = credential.and_then(RedisConnectionInfo::password) {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if self.is_tls() {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = self.certificates() {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        builder.build()
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let root_cert = self.roots.as_deref().map(<[u8]>::to_vec);
        self.is_tls()
            .then_some(TlsCertificates { client_tls: None, root_cert })
            .filter(|tls| tls.root_cert.is_some())
    }
}

impl Connection {
    /// Whether what has this key answers.
    pub(super) async fn answers(&mut self, key: &str) -> bool {
        self.send::<i64>(cmd("PTTL").arg(key)).await.is_ok()
    }

    /// Sends a command that names its keys.
    pub(super) async fn send<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Sends a command that names none to where this key is written.
    pub(super) async fn send_to<T: FromRedisValue>(&mut self, key: &str, command: Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                let value = connection.route_command(command, RoutingInfo::SingleNode(route)).await?;
                Ok(from_redis_value(value)?)
            }
        }
    }
}
