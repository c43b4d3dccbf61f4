//! `inkpass emulator`.

use std::{
    fs::OpenOptions, io::Write, net::SocketAddr, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum, value_parser};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{args::ConfigArgs, failure::Failure, output::print, signals::until_stopped};
use crate::{
    clock::SystemClock,
    config::load_keyring,
    emulator::{Emulator, ErrorShape, Project, Settings, WebhookHost},
    entropy::{Entropy, SystemEntropy},
    hex::Uuid4,
    keyring::{KeySettings, KeyState, Keyring, ProjectSettings},
    region::Region,
    telemetry,
};

/// Reads only `[projects]` of the settings file.
#[derive(Args)]
pub(super) struct EmulatorCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address of the whiteboard API
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDRESS")]
    emulator_listen: SocketAddr,
    /// The form of errors
    #[arg(long, value_enum, default_value_t = Shape::Documented)]
    error_shape: Shape,
    /// The shortest time that a conversion waits
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1s", value_name = "DURATION")]
    waiting: Duration,
    /// The time that a conversion runs
    #[arg(long, value_parser = humantime::parse_duration, default_value = "3s", value_name = "DURATION")]
    converting: Duration,
    /// How many conversions may wait
    #[arg(long, default_value_t = Settings::default().queue_limit, value_name = "COUNT")]
    queue_limit: usize,
    /// Require that a room's or task's tokens are signed by the access key that created it
    #[arg(long)]
    same_key: bool,
    /// How often each webhook is sent when its receiver takes it: a real one may come several times
    #[arg(
        long,
        default_value_t = Settings::default().webhook_copies,
        value_parser = value_parser!(u8).range(1..=10),
        value_name = "COUNT"
    )]
    webhook_copies: u8,
    /// Where webhooks may be sent: "loopback", host names and IP addresses. A webhook to another host is not sent
    #[arg(long, value_delimiter = ',', default_value = "loopback", value_name = "HOSTS")]
    webhook_hosts: Vec<WebhookHost>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// {"message": "the text"}
    Documented,
    /// {"error": {"title": "the text", "messages": [], …}}
    Observed,
}

impl EmulatorCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let _telemetry = telemetry::start(&telemetry::Settings::local(&[])?).map_err(Failure::Failed)?;
        let ephemeral = if self.config.is_given() { None } else { Some(EphemeralKeys::new()?) };
        let keyring = match &ephemeral {
            Some(keys) => keys.keyring()?,
            None => load_keyring(&self.config.sources())?,
        };
        let settings = Settings {
            error_shape: match self.error_shape {
                Shape::Documented => ErrorShape::Documented,
                Shape::Observed => ErrorShape::Observed,
            },
            waiting: self.waiting,
            converting: self.converting,
            queue_limit: self.queue_limit,
            same_key: self.same_key,
            webhook_copies: self.webhook_copies,
            webhook_hosts: self.webhook_hosts,
        };
        let (emulator, listener) = start(&keyring, self.emulator_listen, settings).await?;
        let keys =
            ephemeral.as_ref().map(|keys| format!(" keys={}", keys.path().display())).unwrap_or_default();
        print(&format!("emulator={}{keys}\n", listener.local_addr()?))?;
        until_stopped(|mut stop| async move {
            emulator.serve(listener, async move { stop.next().await }).await.map_err(Failure::from)
        })
        .await
    }
}

/// An emulator of the keyring's projects, and its bound listener.
pub(super) async fn start(
    keyring: &Keyring,
    listen: SocketAddr,
    settings: Settings,
) -> Result<(Emulator, TcpListener), Failure> {
    let projects = keyring
        .projects()
        .map(|project| Project { name: project.name().to_owned(), keys: project.keys().cloned().collect() });
    let emulator =
        Emulator::new(projects.collect(), Arc::new(SystemClock), Arc::new(SystemEntropy), settings);
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {listen}: {error}")))?;
    Ok((emulator, listener))
}

/// The keys of a project `default`, deleted on drop.
pub(super) struct EphemeralKeys {
    directory: TempDir,
}

impl EphemeralKeys {
    pub(super) fn new() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("inkpass-dev-").tempdir()?;
        for name in ["access-key", "secret-key"] {
            let random = Uuid4::random(SystemEntropy.bytes());
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(directory.path().join(name))?;
            writeln!(file, "{}", random.as_str().replace('-', ""))?;
        }
        Ok(Self { directory })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn keyring(&self) -> Result<Keyring, Failure> {
        let keys = vec![KeySettings {
            access_key_file: self.path().join("access-key"),
            secret_key_file: self.path().join("secret-key"),
            state: KeyState::Active,
        }];
        let project = ProjectSettings {
            name: "default".to_owned(),
            is_default: true,
            region: Some(Region::UsSv),
            conversion_region: None,
            keys,
        };
        Ok(Keyring::load(&[project])?)
    }
}
