//! The command line: one file a command.
//!
//! Results go to standard output; everything else goes to standard error. Exit codes: 0 done,
//! 1 refused or failed, 64 wrong usage or settings.

mod announce;
mod api_key;
mod args;
mod check;
mod conversion;
mod dev;
mod emulator;
mod failure;
mod hardening;
mod health;
mod input;
mod output;
mod policy;
mod room;
mod scene;
mod serve;
mod signals;
mod token;
mod watch;

use std::{io, process::ExitCode, thread::available_parallelism, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use self::{failure::Failure, output::print_error};

/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

/// How long blocking work may go on at the end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// One gRPC service that holds the Agora Interactive Whiteboard keys.
#[derive(Parser)]
#[command(name = "inkpass", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve with an embedded whiteboard API and ephemeral keys, on this machine only
    Dev(dev::Dev),
    /// Run the server
    Serve(serve::Serve),
    /// Run the embedded whiteboard API alone, for an application's own tests
    Emulator(emulator::EmulatorCommand),
    /// Validate the settings and the keys
    Check(check::Check),
    /// Mint and verify tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Create, get, list, disable and enable rooms
    #[command(subcommand)]
    Room(room::RoomCommand),
    /// List, add, switch and capture the scenes of a room
    #[command(subcommand)]
    Scene(scene::SceneCommand),
    /// Start, get, watch, list, cancel and prioritize conversions
    #[command(subcommand)]
    Conversion(conversion::ConversionCommand),
    /// Create API keys
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyCommand),
    /// Explain and test policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Check a server's health
    Health(health::HealthCommand),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(format!("inkpass: cannot start: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli.command));
    // A name look-up that hangs must not keep the process alive.
    runtime.shutdown_timeout(END_TIMEOUT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::No) => ExitCode::FAILURE,
        Err(Failure::Failed(sentence)) => {
            print_error(format!("inkpass: {sentence}\n"));
            ExitCode::FAILURE
        }
        Err(Failure::Refused(refusal)) => {
            print_error(format!("inkpass: {refusal}\n"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(mistakes)) => {
            print_error(mistakes.iter().flat_map(|mistake| ["inkpass: ", mistake, "\n"]).collect());
            ExitCode::from(USAGE)
        }
    }
}

/// Of at least two threads: a disk that stalls holds one of them, in the write of an audit line.
fn runtime() -> io::Result<Runtime> {
    let threads = available_parallelism().map_or(2, |threads| threads.get().max(2));
    Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

async fn run(command: Command) -> Result<(), Failure> {
    // Before any key is read.
    hardening::harden()?;
    match command {
        Command::Dev(dev) => dev.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::Emulator(emulator) => emulator.run().await,
        Command::Check(check) => check.run(),
        Command::Token(token) => token.run().await,
        Command::Room(room) => room.run().await,
        Command::Scene(scene) => scene.run().await,
        Command::Conversion(conversion) => conversion.run().await,
        Command::ApiKey(api_key) => api_key.run(),
        Command::Policy(policy) => policy.run(),
        Command::Health(health) => health.run().await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "inkpass", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    }
}
