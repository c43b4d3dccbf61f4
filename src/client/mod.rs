//! The typed client of `inkpass.v1`, for Rust services and for the command line.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use inkpass::{client::{Client, Refusal}, proto::{CreateRoomRequest, Region}};
//!
//! let client = Client::connect("http://127.0.0.1:50051").await?;
//! let request = CreateRoomRequest { region: Region::Eu.into(), ..Default::default() };
//! match client.rooms().create_room(request).await {
//!     Ok(answer) => println!("{:?}", answer.into_inner().room),
//!     Err(status) => eprintln!("{}", Refusal::from(status)),
//! }
//! # Ok(())
//! # }
//! ```

mod connect_error;
mod credentials;
mod refusal;
mod watch;

use std::{fs, path::PathBuf, time::Duration};

use tonic::{
    service::interceptor::InterceptedService,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri},
};

pub use self::{
    connect_error::ConnectError,
    credentials::{Connection, CredentialFile, Credentials},
    refusal::Refusal,
    watch::Watch,
};
use crate::{
    loopback::is_loopback,
    proto::{
        WatchConversionRequest, conversion_service_client::ConversionServiceClient,
        room_service_client::RoomServiceClient, scene_service_client::SceneServiceClient,
        token_service_client::TokenServiceClient,
    },
};

/// A connection to a server. Cloning it is cheap and shares the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    credentials: Credentials,
}

/// The server's address, and the caller's credentials.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `http://host:port` or `https://host:port`.
    pub server: String,
    /// The CAs that verify the server, in a PEM file; the system's if there is none.
    pub tls_ca_file: Option<PathBuf>,
    /// The caller's certificate and its private key, in PEM files; read once.
    pub tls_identity_files: Option<(PathBuf, PathBuf)>,
    /// The credential to present with each call.
    pub credential: Option<CredentialFile>,
    /// Presents it over `http://` too, off loopback: for a service mesh that encrypts.
    pub plaintext: bool,
}

impl Client {
    /// Connects to `server` without a credential: see [`Client::connect_with`].
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(server: &str) -> Result<Self, ConnectError> {
        Self::connect_with(Options { server: server.to_owned(), ..Options::default() }).await
    }

    /// Connects. A call fails if its response does not begin within 30 seconds.
    ///
    /// # Errors
    /// [`ConnectError`]; a server that does not respond within 5 seconds is unreachable.
    pub async fn connect_with(options: Options) -> Result<Self, ConnectError> {
        let mut endpoint = endpoint(&options.server)?;
        let is_https = endpoint.uri().scheme_str() == Some("https");
        if is_https {
            let tls = tls(&options)?;
            endpoint = endpoint.tls_config(tls).map_err(ConnectError::Unreachable)?;
        } else if options.needs_tls(endpoint.uri()) {
            return Err(ConnectError::PlaintextServer);
        }
        let credentials = Credentials::new(options.credential)?;
        Ok(Self { channel: endpoint.connect().await.map_err(ConnectError::Unreachable)?, credentials })
    }

    fn connection(&self) -> Connection {
        InterceptedService::new(self.channel.clone(), self.credentials.clone())
    }

    /// `TokenService`.
    #[must_use]
    pub fn tokens(&self) -> TokenServiceClient<Connection> {
        TokenServiceClient::new(self.connection())
    }

    /// `RoomService`.
    #[must_use]
    pub fn rooms(&self) -> RoomServiceClient<Connection> {
        RoomServiceClient::new(self.connection())
    }

    /// `SceneService`.
    #[must_use]
    pub fn scenes(&self) -> SceneServiceClient<Connection> {
        SceneServiceClient::new(self.connection())
    }

    /// `ConversionService`.
    #[must_use]
    pub fn conversions(&self) -> ConversionServiceClient<Connection> {
        ConversionServiceClient::new(self.connection())
    }

    /// Watches a conversion to its end; resumes by itself.
    #[must_use]
    pub fn watch_conversion(&self, request: WatchConversionRequest) -> Watch {
        Watch::new(self.conversions(), request)
    }

    /// The connection itself, for services that need no credential, such as health.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

impl Options {
    /// Whether plaintext is not allowed.
    fn needs_tls(&self, server: &Uri) -> bool {
        let is_loopback = is_loopback(server.host().unwrap_or_default());
        let is_exposed = self.credential.is_some() && !self.plaintext && !is_loopback;
        self.tls_ca_file.is_some() || self.tls_identity_files.is_some() || is_exposed
    }
}

fn endpoint(server: &str) -> Result<Endpoint, ConnectError> {
    let endpoint = Endpoint::from_shared(server.to_owned()).map_err(|_| ConnectError::InvalidServer)?;
    let uri = endpoint.uri();
    let is_plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !is_plain {
        return Err(ConnectError::InvalidServer);
    }
    Ok(endpoint
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_mins(1)))
}

fn tls(options: &Options) -> Result<ClientTlsConfig, ConnectError> {
    let read = |path: &PathBuf| fs::read(path).map_err(|error| ConnectError::File(path.clone(), error));
    let tls = match &options.tls_ca_file {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match &options.tls_identity_files {
        Some((certificate, key)) => tls.identity(Identity::from_pem(read(certificate)?, read(key)?)),
        None => tls,
    })
}
