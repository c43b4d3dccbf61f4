//! `inkpass token`.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use tonic::Request;

use super::{
    args::{self, ServerArgs, duration},
    failure::Failure,
    input,
    output::{PrintFormat, print},
};
use crate::{
    assembly::{Environment, offline},
    audit,
    entropy::SystemEntropy,
    keyring::{KeyState, Keyring, Project, Strictness, read_key_file},
    proto::{
        self, BatchIssueTokensRequest, IssueTokenRequest, RoomScope, SdkScope, TaskScope, VerifyTokenRequest,
        issue_token_request, token_service_server::TokenService,
    },
    rpc::Tokens,
    token::{Kind, Role, SigningKey},
};

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Mint a token; prints the token alone
    Issue(IssueTokenArgs),
    /// Mint up to 1,000 tokens, all or none; prints them one a line
    Batch(BatchArgs),
    /// Verify a token, and print its claims; exits with 1 if it is not valid
    Verify(VerifyArgs),
    /// Print a token's fingerprint, as in the audit trail; without a server
    Fingerprint(FingerprintArgs),
}

#[derive(Args)]
pub(super) struct IssueTokenArgs {
    /// The token's scope: everything, one room or one conversion
    #[arg(long, value_parser = args::kind())]
    kind: Kind,
    /// The token's role
    #[arg(long, value_parser = args::role())]
    role: Role,
    /// The room or conversion
    #[arg(long, required_if_eq_any([("kind", "room"), ("kind", "task")]), default_value = "")]
    uuid: String,
    /// The token's lifetime, such as 10m; by default the policy's
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// The token never expires
    #[arg(long, conflicts_with = "ttl")]
    permanent: bool,
    /// The project; by default the server's
    #[arg(long, default_value = "")]
    project: String,
    /// The access key that created the room or conversion; by default the active one
    #[arg(long, default_value = "")]
    access_key: String,
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The token, or - to read it from standard input
    token: String,
    /// The project that must have signed it; by default any
    #[arg(long, default_value = "")]
    project: String,
    /// A permission that it must have, such as get-room
    #[arg(long, value_parser = args::permission)]
    permission: Option<proto::Permission>,
    /// A role that it must be able to mint
    #[arg(long, value_parser = args::role(), requires = "permission")]
    mint_role: Option<Role>,
    /// A room that it must be valid for; by default its own
    #[arg(long, default_value = "", value_name = "UUID")]
    room: String,
    /// A conversion that it must be valid for; by default its own
    #[arg(long, default_value = "", value_name = "UUID")]
    task: String,
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct BatchArgs {
    /// A file of requests, or - for standard input: one JSON object a line with the fields of the API,
    /// such as {"room": {"uuid": "my-room"}, "role": "ROLE_WRITER"}
    #[expect(clippy::doc_markdown, reason = "it is read in a terminal")]
    requests: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct FingerprintArgs {
    /// The token, or - to read it from standard input
    token: String,
    /// The salt file that the settings name
    #[arg(long, value_name = "FILE")]
    salt_file: PathBuf,
}

/// Keys on this machine, instead of a server.
#[derive(Args)]
struct OfflineArgs {
    /// Use the keys in these files instead of a server
    #[arg(long, requires = "access_key_file", requires = "secret_key_file")]
    offline: bool,
    /// The file with the access key
    #[arg(long, requires = "offline", value_name = "FILE")]
    access_key_file: Option<PathBuf>,
    /// The file with the secret key
    #[arg(long, requires = "offline", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
}

impl TokenCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Issue(issue) => issue.run().await,
            Self::Batch(batch) => batch.run().await,
            Self::Verify(verify) => verify.run().await,
            Self::Fingerprint(fingerprint) => fingerprint.run(),
        }
    }
}

impl IssueTokenArgs {
    async fn run(self) -> Result<(), Failure> {
        let request = self.request()?;
        let answer = match self.offline.tokens()? {
            Some(tokens) => tokens.issue_token(Request::new(request)).await?,
            None => self.server.connect().await?.tokens().issue_token(request).await?,
        };
        match self.server.output.get() {
            PrintFormat::Json => PrintFormat::Json.print(answer.get_ref()),
            PrintFormat::Text => print(&format!("{}\n", answer.into_inner().token.unwrap_or_default().value)),
        }
    }

    fn request(&self) -> Result<IssueTokenRequest, Failure> {
        if self.kind == Kind::Sdk && !(self.uuid.is_empty() && self.access_key.is_empty()) {
            let mistake =
                "--uuid and --access-key are for --kind room and task only: an SDK token opens everything";
            return Err(Failure::Usage(vec![mistake.to_owned()]));
        }
        let (uuid, access_key) = (self.uuid.clone(), self.access_key.clone());
        let scope = match self.kind {
            Kind::Sdk => issue_token_request::Scope::Sdk(SdkScope {}),
            Kind::Room => issue_token_request::Scope::Room(RoomScope { uuid, access_key }),
            Kind::Task => issue_token_request::Scope::Task(TaskScope { uuid, access_key }),
        };
        let validity = match self.ttl {
            Some(ttl) => Some(issue_token_request::Validity::Ttl(duration("--ttl", ttl)?)),
            None => self.permanent.then_some(issue_token_request::Validity::Permanent(true)),
        };
        let role = proto::Role::from(self.role).into();
        Ok(IssueTokenRequest { project: self.project.clone(), scope: Some(scope), role, validity })
    }
}

impl BatchArgs {
    async fn run(self) -> Result<(), Failure> {
        let text = if self.requests == *"-" {
            io::read_to_string(io::stdin())?
        } else {
            std::fs::read_to_string(&self.requests)
                .map_err(|error| Failure::Usage(vec![format!("{}: {error}", self.requests.display())]))?
        };
        let requests = input::read_lines(&text).map_err(Failure::Usage)?;
        let request = BatchIssueTokensRequest { requests };
        let answer = self.server.connect().await?.tokens().batch_issue_tokens(request).await?;
        match self.server.output.get() {
            PrintFormat::Json => PrintFormat::Json.print(answer.get_ref()),
            PrintFormat::Text => {
                let values: Vec<_> = answer.get_ref().tokens.iter().map(|token| &*token.value).collect();
                print(&format!("{}\n", values.join("\n")))
            }
        }
    }
}

impl VerifyArgs {
    async fn run(self) -> Result<(), Failure> {
        let token = given_or_read(self.token)?;
        let request = VerifyTokenRequest {
            project: self.project,
            token,
            permission: self.permission.unwrap_or_default().into(),
            mint_role: self.mint_role.map(proto::Role::from).unwrap_or_default().into(),
            room_uuid: self.room,
            task_uuid: self.task,
        };
        let answer = match self.offline.tokens()? {
            Some(tokens) => tokens.verify_token(Request::new(request)).await?,
            None => self.server.connect().await?.tokens().verify_token(request).await?,
        };
        self.server.output.get().print(answer.get_ref())?;
        if answer.get_ref().valid { Ok(()) } else { Err(Failure::No) }
    }
}

impl FingerprintArgs {
    fn run(self) -> Result<(), Failure> {
        let about = |error| format!("{}: {error}", self.salt_file.display());
        let fingerprinter = audit::fingerprinter(Some(&self.salt_file), &SystemEntropy)
            .map_err(|errors| Failure::Usage(errors.into_iter().map(about).collect()))?;
        print(&format!("{}\n", fingerprinter.of(&given_or_read(self.token)?)))
    }
}

/// The token, or the one on standard input if it is `-`.
fn given_or_read(token: String) -> Result<String, Failure> {
    if token != "-" {
        return Ok(token);
    }
    let mut token = String::new();
    // More than the longest token, so that a longer one is reported as too long.
    io::stdin().take(16 * 1024).read_to_string(&mut token)?;
    Ok(token.strip_suffix('\n').map(str::to_owned).unwrap_or(token))
}

impl OfflineArgs {
    /// The service itself, in this process.
    fn tokens(&self) -> Result<Option<Tokens>, Failure> {
        let (Some(access_key), Some(secret_key)) = (&self.access_key_file, &self.secret_key_file) else {
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            read_key_file(path, Strictness::Public).map_err(|errors| {
                Failure::Usage(errors.iter().map(|error| format!("{}: {error}", path.display())).collect())
            })
        };
        let key = SigningKey::new(&read(access_key)?, read(secret_key)?.as_bytes());
        let key = key.map_err(|error| Failure::Usage(vec![error.to_string()]))?;
        let project = Project::new("default", None, vec![(KeyState::Active, Arc::new(key))]);
        let keyring = Keyring::new(vec![project], None);
        Ok(Some(Tokens::new(Arc::new(offline(keyring, Environment::system())))))
    }
}
