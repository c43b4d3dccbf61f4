//! Arguments that commands share.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use prost::{Message, Name};
use tonic::{Response, Status};

use super::{failure::Failure, output::PrintFormat};
use crate::{
    client::{Client, ConnectError, CredentialFile, Options},
    config::Sources,
    proto::{self, token_grant},
    region::Region,
    token::{Kind, Role},
};

/// The server, the caller's credentials, and how responses are printed.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// The server's URL
    #[arg(long, env = "INKPASS_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,
    /// The CAs that verify an https:// server, PEM; by default the system's
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Your certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of your certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The file with your API key
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    api_key_file: Option<PathBuf>,
    /// The file with your token, such as a projected service account token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Present either over http:// to other machines too: where a mesh encrypts
    #[arg(long)]
    plaintext: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

impl ServerArgs {
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        let token = self.token_file.clone().map(CredentialFile::Token);
        let options = Options {
            server: self.server.clone(),
            tls_ca_file: self.tls_ca.clone(),
            tls_identity_files: self.tls_cert.clone().zip(self.tls_key.clone()),
            credential: token.or(self.api_key_file.clone().map(CredentialFile::ApiKey)),
            plaintext: self.plaintext,
        };
        Client::connect_with(options).await.map_err(|error| match error {
            ConnectError::InvalidServer | ConnectError::PlaintextServer => {
                Failure::Usage(vec![format!("--server: {error}")])
            }
            ConnectError::File(..) => Failure::Usage(vec![error.to_string()]),
            ConnectError::Unreachable(_) => Failure::Failed(format!(
                "cannot connect to {}: {error}; is the server running, and is --server right?",
                self.server
            )),
        })
    }

    /// Makes a call, and prints its response.
    pub(super) async fn print<T: Message + Name>(
        &self,
        call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
    ) -> Result<(), Failure> {
        let response = call(self.connect().await?).await?;
        self.output.get().print(response.get_ref())
    }
}

/// How results are printed.
#[derive(Args)]
pub(super) struct OutputArgs {
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = PrintFormat::Text)]
    output: PrintFormat,
}

impl OutputArgs {
    pub(super) const fn get(&self) -> PrintFormat {
        self.output
    }
}

/// The settings file.
#[derive(Args)]
pub(super) struct ConfigArgs {
    /// The settings file
    #[arg(long, env = "INKPASS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    pub(super) fn is_given(&self) -> bool {
        self.config.is_some()
    }

    /// The file and the process's environment, without flags.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            environment: std::env::vars_os().collect(),
            ..Sources::default()
        }
    }
}

/// Where an existing room or conversion is.
#[derive(Args)]
pub(super) struct TargetArgs {
    /// The data center; by default the project's
    #[arg(long, value_parser = region())]
    region: Option<Region>,
    /// The project; by default the server's
    #[arg(long, default_value = "")]
    project: String,
    /// The access key that created it; by default the active one
    #[arg(long, default_value = "")]
    access_key: String,
}

impl TargetArgs {
    /// Project, access key and region, in the form of a request.
    pub(super) fn into_parts(self) -> (String, String, i32) {
        (self.project, self.access_key, region_number(self.region))
    }
}

/// A token that is minted for a new room or conversion.
#[derive(Args)]
pub(super) struct GrantArgs {
    /// Also mint a token of this role for it
    #[arg(long = "grant-role", id = "grant_role", value_parser = role())]
    role: Option<Role>,
    /// How long the token lives, such as 10m
    #[arg(long = "grant-ttl", id = "grant_ttl", value_parser = humantime::parse_duration, requires = "grant_role", value_name = "DURATION")]
    ttl: Option<Duration>,
    /// The token never expires
    #[arg(
        long = "grant-permanent",
        id = "grant_permanent",
        requires = "grant_role",
        conflicts_with = "grant_ttl"
    )]
    permanent: bool,
}

impl GrantArgs {
    pub(super) fn to_proto(&self) -> Result<Option<proto::TokenGrant>, Failure> {
        let Some(role) = self.role else { return Ok(None) };
        let validity = match self.ttl {
            Some(ttl) => Some(token_grant::Validity::Ttl(duration("--grant-ttl", ttl)?)),
            None => self.permanent.then_some(token_grant::Validity::Permanent(true)),
        };
        Ok(Some(proto::TokenGrant { role: proto::Role::from(role).into(), validity }))
    }
}

pub(super) fn duration(flag: &str, duration: Duration) -> Result<prost_types::Duration, Failure> {
    duration.try_into().map_err(|_| Failure::Usage(vec![format!("{flag}: is too long")]))
}

/// Unspecified if there is none: the project's default.
pub(super) fn region_number(region: Option<Region>) -> i32 {
    region.map_or(proto::Region::Unspecified, proto::Region::from).into()
}

pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|name| name.parse())
}

pub(super) fn kind() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)).try_map(|name| name.parse())
}

pub(super) fn region() -> impl TypedValueParser<Value = Region> {
    PossibleValuesParser::new(Region::ALL.map(Region::as_str)).try_map(|name| name.parse())
}

/// Parses a permission in lower case with dashes, such as `get-room`.
pub(super) fn permission(text: &str) -> Result<proto::Permission, &'static str> {
    let name = format!("PERMISSION_{}", text.to_uppercase().replace('-', "_"));
    proto::Permission::from_str_name(&name)
        .filter(|permission| *permission != proto::Permission::Unspecified)
        .ok_or("is not a permission of token_service.proto, such as get-room")
}
