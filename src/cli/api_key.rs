//! `inkpass api-key`.

use clap::{Args, Subcommand};

use super::{failure::Failure, output::print};
use crate::{caller::NewKey, entropy::SystemEntropy, principal::Principal};

#[derive(Subcommand)]
pub(super) enum ApiKeyCommand {
    /// Create an API key; prints it this once, and its lines for the file of API keys
    New(NewApiKeyArgs),
}

#[derive(Args)]
pub(super) struct NewApiKeyArgs {
    /// The principal of its holder, such as key:billing
    #[arg(long, value_parser = principal, value_name = "key:NAME")]
    principal: Principal,
}

impl ApiKeyCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::New(new) = self;
        let NewKey { key, digest } = NewKey::draw(&SystemEntropy);
        eprintln!("The key, which is printed this once, and its lines for identity.api_keys_file:");
        print(&format!(
            "{}\n\n[[api_keys]]\nprincipal = \"{}\"\nsha256 = \"{digest}\"\n",
            *key, new.principal
        ))
    }
}

fn principal(text: &str) -> Result<Principal, String> {
    let principal = text.parse().ok().filter(|_| text.starts_with("key:"));
    principal.ok_or_else(|| "it is key: and 1 to 63 of 0-9 A-Z a-z . _ and -".to_owned())
}
