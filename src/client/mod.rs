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

mod refusal;
mod watch;

use std::{error::Error, fmt, time::Duration};

use tonic::transport::{Channel, Endpoint};

pub use self::{refusal::Refusal, watch::Watch};
use crate::proto::{
    WatchConversionRequest, conversion_service_client::ConversionServiceClient,
    room_service_client::RoomServiceClient, scene_service_client::SceneServiceClient,
    token_service_client::TokenServiceClient,
};

/// A connection to a server. Cloning it is cheap and shares the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The server's URL is not `http://host:port`.
    InvalidServer,
    /// Nothing answers there.
    Unreachable(tonic::transport::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidServer => f.write_str("a server's URL is http://host:port"),
            Self::Unreachable(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
        }
    }
}

impl Error for ConnectError {}

impl Client {
    /// Connects to `server`, `http://host:port`. An answer begins within 30 seconds, or the call ends.
    ///
    /// # Errors
    /// The URL is another one, or nothing answers there within 5 seconds.
    pub async fn connect(server: &str) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::from_shared(server.to_owned()).map_err(|_| ConnectError::InvalidServer)?;
        let uri = endpoint.uri();
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(ConnectError::InvalidServer);
        }
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_mins(1));
        Ok(Self { channel: endpoint.connect().await.map_err(ConnectError::Unreachable)? })
    }

    /// `TokenService`.
    #[must_use]
    pub fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    /// `RoomService`.
    #[must_use]
    pub fn rooms(&self) -> RoomServiceClient<Channel> {
        RoomServiceClient::new(self.channel.clone())
    }

    /// `SceneService`.
    #[must_use]
    pub fn scenes(&self) -> SceneServiceClient<Channel> {
        SceneServiceClient::new(self.channel.clone())
    }

    /// `ConversionService`.
    #[must_use]
    pub fn conversions(&self) -> ConversionServiceClient<Channel> {
        ConversionServiceClient::new(self.channel.clone())
    }

    /// Follows a conversion to its end; resumes by itself.
    #[must_use]
    pub fn watch_conversion(&self, request: WatchConversionRequest) -> Watch {
        Watch::new(self.conversions(), request)
    }

    /// The connection itself, for other services such as health.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
