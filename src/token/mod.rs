//! The token core: a token's claims, the signer, the verifier and the permissions.
//!
//! Pure functions and one secret type. It knows no network, no clock, no randomness and no
//! gRPC: time and nonces are passed in.
//!
//! ```
//! use inkpass::{clock::UnixMillis, token::{Claims, Lifetime, Nonce, Presented, Role, Scope, SigningKey, Uuid}};
//! use std::time::Duration;
//!
//! let key = SigningKey::new("my-access-key", b"my-secret-key-of-16-bytes-or-more").unwrap();
//! let now = UnixMillis::new(1_790_000_000_000).unwrap();
//! let claims = Claims {
//!     scope: Scope::Room(Uuid::new("a-room").unwrap()),
//!     role: Role::Writer,
//!     expire_at: Lifetime::ttl(Duration::from_secs(3600)).unwrap().expire_at(now).unwrap(),
//! };
//! let token = key.sign(&claims, &Nonce::random([7; 16]));
//! assert!(token.expose().starts_with("NETLESSROOM_"));
//! assert!(Presented::parse(token.expose()).unwrap().is_signed_by(&key));
//! ```

mod claims;
mod encoding;
mod key;
mod mac;
mod permission;
mod scratch;
mod verify;

pub use crate::names::UnknownName;
pub use claims::{Claims, InvalidLifetime, Kind, Lifetime, Nonce, Role, Scope, Uuid};
pub use key::{InvalidKey, SigningKey, TokenValue};
#[cfg(feature = "server")]
pub(crate) use mac::wiping_stack;
pub use mac::{Fingerprint, Fingerprinter, Sealer};
pub use permission::{Permission, Verdict};
pub use verify::{Presented, TokenError, Wanted, verify};
